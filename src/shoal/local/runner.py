"""Runs attempts as subprocesses of the worker: work folder, process group, log file.

A worker runs one attempt at a time, so its own current folder can serve as the child's: the
child is started with posix_spawn, which costs least and knows no option for a current folder.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shoal.core.confirm import Ended
from shoal.core.errors import BucketError
from shoal.core.job import Job
from shoal.core.spec import POWERSHELL_DOCUMENT, SHELL_DOCUMENT, JobSpec
from shoal.local import processes
from shoal.local.bucket import LocalBucket, Manifest, remove_tree, remove_work, version_of
from shoal.local.layout import Layout
from shoal.ports import Attention, Beat, no_beat

log = logging.getLogger(__name__)

MAX_ARGUMENT_BYTES = 128 * 1024 - 1
"""Linux takes no longer single argument (MAX_ARG_STRLEN); a longer script goes through a file."""

READ_BYTES = 1 << 20
LAST_OUTPUT_BYTES = 400
CTIME_STEP_NS = 50_000_000

TROUBLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO),
    *(errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE),
)
"""The worker is out of something. Other errors in starting a program come from the program."""

_RESET_SIGNALS = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGIO, signal.SIGQUIT]
"""Python ignores these, or the supervisor, or a shell that starts it in the background; and what
is ignored stays so in children."""


@dataclass(slots=True)
class Running:
    """An attempt under way.

    Args:
        job: the job it is an attempt of.
        pid: its first process, whose number is the process group's too.
        manifest: what was staged in.
        ended: the wait status of the first process, once that has ended.
        results: relative paths of what is new or changed, once somebody has looked.
    """

    job: Job
    pid: int
    manifest: Manifest
    ended: int | None = None
    results: list[str] = field(default_factory=list)


class LocalRunner:
    """A `ports.Runner` for one worker on this machine.

    Args:
        worker: the worker's name.
        layout: of the environment.
        bucket: of the environment.
        attention: interrupts waiting.
        grace_s: time between asking an attempt to end and killing it.
        variables: the environment variables that attempts inherit.
    """

    def __init__(
        self,
        worker: str,
        layout: Layout,
        bucket: LocalBucket,
        attention: Attention,
        grace_s: float,
        variables: Mapping[str, str],
    ) -> None:
        self._layout = layout
        self._bucket = bucket
        self._attention = attention
        self._grace_s = grace_s
        self._work = layout.work / worker
        self._work_text = str(self._work)
        self._script = f"{self._work}.script"
        self._home = str(layout.own)
        self._live_log = str(layout.live_log_path(worker))
        Path(self._live_log).unlink(missing_ok=True)
        self._output = self._open_output()
        self._no_input = os.open(os.devnull, os.O_RDONLY)
        self._worker = worker
        self._variables = {**variables, processes.ENVIRONMENT_VARIABLE: str(layout.root)}
        self._pristine: tuple[int, int] | None = None
        self._started_ns = 0
        remove_tree(self._work)

    # --- start ------------------------------------------------------------------------------

    def start(self, job: Job, beat: Beat = no_beat) -> Running | Ended:
        spec = job.spec
        self._make_work_folder()
        try:
            manifest: Manifest = {}
            if spec.folder is not None:
                manifest = self._bucket.stage_in(spec.folder, self._work, beat)
            command = self._command(spec)
        except BucketError as refused:
            return _hopeless(str(refused))
        except OSError as error:
            if error.errno in TROUBLE:
                remove_tree(self._work)  # what is there of it may be all that takes up the room
                raise
            return Ended(problem=f"it could not be staged in ({error})")
        if isinstance(command, Ended):
            return command
        try:
            pid = self._spawn(command, job)
        except OSError as error:
            if error.errno in TROUBLE:
                raise
            return _explain_start(command[0], error)
        return Running(job, pid, manifest)

    def _make_work_folder(self) -> None:
        """Give the attempt a fresh work folder.

        Making and removing a folder can cost as much as running a small program, so the last one
        serves again when it was never touched: not an entry, not a mode, as its ctime tells.
        Before Linux 6.13, and on some file systems, that stands still for milliseconds, so what
        came right after the making is looked for.
        """
        if not self._is_pristine():
            os.chdir(self._home)
            remove_tree(self._work)
            os.mkdir(self._work_text)
            os.chdir(self._work_text)
            self._pristine = _looks(self._work_text)
        self._started_ns = time.time_ns()

    def _is_pristine(self) -> bool:
        """Whether the last attempt has left the work folder as it got it."""
        if self._pristine is None:
            return False
        try:
            if _looks(self._work_text) != self._pristine:
                return False
            made_ns = self._pristine[0]
            return self._started_ns - made_ns > CTIME_STEP_NS or not os.listdir(self._work_text)
        except OSError:
            return False  # gone, or shut

    def _command(self, spec: JobSpec) -> list[str] | Ended:
        """The program and arguments of a job, or why there are none."""
        if spec.executable is not None:
            path = f"{self._work_text}/{spec.executable}"
            try:
                mode = os.stat(path).st_mode
                if not mode & 0o100:
                    os.chmod(path, mode | 0o100)
            except FileNotFoundError:
                return _hopeless(f"the executable {spec.executable!a} is not there any more")
            return [path]
        script = "\n".join(spec.commands)
        if spec.ssm_document == SHELL_DOCUMENT:
            if len(script.encode(errors="surrogateescape")) > MAX_ARGUMENT_BYTES:
                return ["/bin/sh", self._write_script(script, ".sh")]
            return ["/bin/sh", "-c", "--", script]
        if spec.ssm_document == POWERSHELL_DOCUMENT:
            pwsh = shutil.which("pwsh")
            if pwsh is None:
                return _hopeless(f"{POWERSHELL_DOCUMENT} needs pwsh, which is not on the PATH")
            return [
                pwsh,
                "-NoProfile",
                "-NonInteractive",
                "-File",
                self._write_script(script, ".ps1"),
            ]
        return _hopeless(
            f"SSM document {spec.ssm_document!r} can't run on this machine: here"
            f" {SHELL_DOCUMENT} and {POWERSHELL_DOCUMENT} can"
        )

    def _write_script(self, script: str, suffix: str) -> str:
        path = self._script + suffix
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(script)
        return path

    def _spawn(self, command: list[str], job: Job) -> int:
        spec = job.spec
        variables = self._variables | spec.environment
        variables[processes.WORKER_VARIABLE] = self._worker
        variables["SHOAL_JOB_ID"] = job.job_id
        variables["SHOAL_RUN"] = str(job.run)
        variables["SHOAL_ATTEMPT"] = str(job.attempt)
        redirections = [
            (os.POSIX_SPAWN_DUP2, self._no_input, 0),
            (os.POSIX_SPAWN_DUP2, self._output, 1),
            (os.POSIX_SPAWN_DUP2, self._output, 2),
        ]
        try:
            return _posix_spawn(command, variables, redirections)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without a shebang is the shell's, as for every shell.
            return _posix_spawn(["/bin/sh", *command], variables, redirections)

    # --- while it runs ----------------------------------------------------------------------

    def wait(self, running: Running, timeout_s: float) -> bool:
        until = time.monotonic() + timeout_s
        while not _has_ended(running.pid):
            left_s = until - time.monotonic()
            # Other signals than the one of its end wake us too; only a bell is for the caller.
            if left_s <= 0 or self._attention.wait(left_s):
                return _has_ended(running.pid)
        return True

    def stop(self, running: Running) -> None:
        try:
            os.killpg(running.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        deadline = time.monotonic() + self._grace_s
        while not _has_ended(running.pid) and (left_s := deadline - time.monotonic()) > 0:
            self._attention.wait(left_s)
        self._kill_leftovers(running)

    def _kill_leftovers(self, running: Running) -> None:
        """End whatever the attempt has left behind, in its process group or out of it.

        Its first process is only now reaped: until then its number, which is the group's, can't
        become another's.
        """
        processes.kill_group(running.pid)
        if running.ended is None:
            running.ended = os.waitpid(running.pid, 0)[1]
        if processes.has_children():
            processes.kill_started_by(self._worker)
            processes.kill_children()

    # --- when it has ended ------------------------------------------------------------------

    def gather(self, running: Running, timed_out_s: float | None, beat: Beat = no_beat) -> Ended:
        self._kill_leftovers(running)
        try:
            return self._facts(running, timed_out_s, beat)
        finally:
            self._keep_log(running)

    def _facts(self, running: Running, timed_out_s: float | None, beat: Beat) -> Ended:
        spec = running.job.spec
        assert running.ended is not None
        code = os.waitstatus_to_exitcode(running.ended)
        if timed_out_s is not None:
            return Ended(timed_out_s=timed_out_s)
        if code != 0:
            last = _last_output(self._live_log)
            if code < 0:
                return Ended(signal=-code, last_output=last)
            return Ended(exit_code=code, last_output=last)
        found = None
        if spec.wants_string:
            found = _contains(self._live_log, spec.job_success_string, beat)
        missing = tuple(path for path in spec.required_files if not (self._work / path).is_file())
        return Ended(exit_code=0, found_string=found, missing_files=missing)

    def _keep_log(self, running: Running) -> None:
        """Give the output its own place; where there is none, its file serves again."""
        status = os.fstat(self._output)
        if status.st_size == 0 and status.st_nlink:
            return
        path = self._layout.log_path(running.job.job_id, running.job.token)
        try:
            path.parent.mkdir(exist_ok=True)
            os.rename(self._live_log, path)
        except FileNotFoundError:
            log.warning("the output of job %r was removed", running.job.job_id)
        os.close(self._output)
        self._output = self._open_output()

    def _open_output(self) -> int:
        """The file that takes the output of the attempts until one has some."""
        return os.open(self._live_log, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)

    def results(self, running: Running, beat: Beat = no_beat) -> dict[str, str]:
        folder = running.job.spec.folder
        assert folder is not None
        with _staging_out():
            running.results = self._bucket.find_results(folder, self._work, running.manifest, beat)
            return {
                f"{folder}/{relative}": version_of(os.stat(self._work / relative))
                for relative in running.results
            }

    def stage_out(self, running: Running, beat: Beat = no_beat) -> None:
        folder = running.job.spec.folder
        assert folder is not None
        with _staging_out():
            self._bucket.stage_out(folder, self._work, running.results, beat)

    def discard(self, running: Running) -> None:
        if running.ended is None:
            self._kill_leftovers(running)
        self._keep_log(running)
        if running.job.spec.folder is not None:
            remove_tree(self._work)

    def close(self) -> None:
        """Leave nothing behind but logs."""
        os.chdir(self._home)
        remove_work(self._layout, self._worker)
        os.close(self._no_input)
        os.close(self._output)
        Path(self._live_log).unlink(missing_ok=True)


def _looks(folder: str) -> tuple[int, int]:
    """What changes when a folder is touched."""
    status = os.stat(folder)
    return status.st_ctime_ns, status.st_mode


def _posix_spawn(
    command: list[str], variables: dict[str, str], redirections: Sequence[tuple[Any, ...]]
) -> int:
    return os.posix_spawn(
        command[0],
        command,
        variables,
        file_actions=redirections,
        setpgroup=0,
        setsigdef=_RESET_SIGNALS,
    )


@contextmanager
def _staging_out() -> Iterator[None]:
    """Blame the job for what is not the worker's trouble: modes, names that are too long."""
    try:
        yield
    except OSError as error:
        if error.errno in TROUBLE:
            raise
        raise BucketError(
            f"its results can't be staged out ({error})", "look at the job folder's modes and names"
        ) from None


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; it is left to be reaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _explain_start(program: str, error: OSError) -> Ended:
    """Why the system would not start a program; what it says of a missing interpreter misleads."""
    if error.errno != errno.ENOENT or not os.path.exists(program):
        return Ended(problem=f"it could not be started ({error})")
    with open(program, "rb") as file:
        shebang, interpreter = file.read(2), file.readline(200).split(b" ")[0].rstrip(b"\n")
    if shebang != b"#!":
        return _hopeless("it could not be started: this machine lacks what loads such a program")
    name = os.fsdecode(interpreter)
    hint = " (save it with Unix line ends)" if name.endswith("\r") else ""
    return _hopeless(f"its interpreter {name!a} is not on this machine{hint}")


def _hopeless(problem: str) -> Ended:
    return Ended(problem=problem, retry_helps=False)


def _contains(path: str, text: str, beat: Beat) -> bool:
    """Whether a file holds a text, read piece by piece, however long it is."""
    needle = text.encode()
    with open(path, "rb", buffering=0) as file:
        kept = b""
        while piece := file.read(READ_BYTES):
            if needle in (window := kept + piece):
                return True
            beat()
            kept = window[-(len(needle) - 1) :] if len(needle) > 1 else b""
    return False


def _last_output(path: str) -> str:
    """The last line of a log that says something, cut to a length that fits a table."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - LAST_OUTPUT_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return "".join(char if char.isprintable() else " " for char in said[-1]) if said else ""
