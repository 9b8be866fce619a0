"""Runs attempts as subprocesses of the worker: work folder, process group, log file.

A worker runs one attempt at a time, so its own current folder can serve as the child's: the
child is started with posix_spawn, which costs least and knows no option for a current folder.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shoal.core.confirm import Ended
from shoal.core.errors import BucketError
from shoal.core.job import Job
from shoal.core.spec import POWERSHELL_DOCUMENT, SHELL_DOCUMENT, JobSpec
from shoal.local import processes
from shoal.local.bucket import LocalBucket, Manifest, remove_tree, version_of
from shoal.local.layout import Layout
from shoal.ports import Attention

MAX_ARGUMENT_BYTES = 128 * 1024 - 1
"""Linux takes no longer single argument (MAX_ARG_STRLEN); a longer script goes through a file."""

READ_BYTES = 1 << 20
LAST_OUTPUT_BYTES = 400
TROUBLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO),
    *(errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE),
)
"""The worker is out of something. Other errors in starting a program come from the program."""

_RESET_SIGNALS = [signal.SIGPIPE, signal.SIGXFSZ]
"""Python ignores these, and what is ignored stays so in children."""


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
        self._variables = {
            **variables,
            processes.WORKER_VARIABLE: worker,
            processes.ENVIRONMENT_VARIABLE: str(layout.root),
        }
        self._pristine_ns: int | None = None
        remove_tree(self._work)

    # --- start ------------------------------------------------------------------------------

    def start(self, job: Job) -> Running | Ended:
        spec = job.spec
        self._make_work_folder()
        try:
            manifest: Manifest = {}
            if spec.folder is not None:
                manifest = self._bucket.stage_in(spec.folder, self._work)
            command = self._command(spec)
            if isinstance(command, Ended):
                return command
            pid = self._spawn(command, job)
        except BucketError as refused:
            return _hopeless(str(refused))
        except OSError as error:
            if error.errno in TROUBLE:
                raise
            return Ended(problem=f"it could not be started ({error})")
        return Running(job, pid, manifest)

    def _make_work_folder(self) -> None:
        """Give the attempt a fresh work folder.

        Making and removing a folder can cost as much as running a small program, so the last one
        serves again when it was never touched: not an entry, not a mode, as its ctime tells.
        """
        if self._pristine_ns is not None:
            try:
                if os.stat(self._work_text).st_ctime_ns == self._pristine_ns:
                    return
            except FileNotFoundError:
                pass
        remove_tree(self._work)
        os.mkdir(self._work_text)
        self._pristine_ns = os.stat(self._work_text).st_ctime_ns

    def _command(self, spec: JobSpec) -> list[str] | Ended:
        """The program and arguments of a job, or why there are none."""
        if spec.executable is not None:
            path = f"{self._work_text}/{spec.executable}"
            try:
                os.chmod(path, os.stat(path).st_mode | 0o100)
            except FileNotFoundError:
                return _hopeless(f"the executable {spec.executable!a} is not there any more")
            return [path]
        script = "\n".join(spec.commands)
        if spec.ssm_document == SHELL_DOCUMENT:
            if len(script.encode(errors="surrogateescape")) > MAX_ARGUMENT_BYTES:
                return ["/bin/sh", self._write_script(script, ".sh")]
            return ["/bin/sh", "-c", script]
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
        variables["SHOAL_JOB_ID"] = job.job_id
        variables["SHOAL_RUN"] = str(job.run)
        variables["SHOAL_ATTEMPT"] = str(job.attempt)
        output = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        redirections = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, self._live_log, output, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        os.chdir(self._work_text)
        try:
            return _posix_spawn(command, variables, redirections)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without a shebang is the shell's, as for every shell.
            return _posix_spawn(["/bin/sh", *command], variables, redirections)
        finally:
            os.chdir(self._home)

    # --- while it runs ----------------------------------------------------------------------

    def wait(self, running: Running, timeout_s: float) -> bool:
        if _reap(running):
            return True
        self._attention.wait(timeout_s)
        return _reap(running)

    def stop(self, running: Running) -> None:
        try:
            os.killpg(running.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        deadline = time.monotonic() + self._grace_s
        while not _reap(running) and (left_s := deadline - time.monotonic()) > 0:
            self._attention.wait(left_s)
        self._kill_leftovers(running)

    def _kill_leftovers(self, running: Running) -> None:
        """End whatever the attempt has left behind, in its process group or out of it."""
        processes.kill_group(running.pid)
        if running.ended is None:
            running.ended = os.waitpid(running.pid, 0)[1]
        if processes.has_children():
            processes.kill_started_by(self._variables[processes.WORKER_VARIABLE])
            processes.has_children()

    # --- when it has ended ------------------------------------------------------------------

    def gather(self, running: Running, timed_out_s: float | None) -> Ended:
        self._kill_leftovers(running)
        try:
            return self._facts(running, timed_out_s)
        finally:
            self._keep_log(running)

    def _facts(self, running: Running, timed_out_s: float | None) -> Ended:
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
        found = _contains(self._live_log, spec.job_success_string) if spec.wants_string else None
        missing = tuple(path for path in spec.required_files if not (self._work / path).is_file())
        return Ended(exit_code=0, found_string=found, missing_files=missing)

    def _keep_log(self, running: Running) -> None:
        """Give the output its own place; where there is none, its file serves again."""
        try:
            if os.stat(self._live_log).st_size == 0:
                return
        except FileNotFoundError:
            return
        path = self._layout.log_path(running.job.job_id, running.job.token)
        try:
            os.rename(self._live_log, path)
        except FileNotFoundError:
            path.parent.mkdir(exist_ok=True)
            os.rename(self._live_log, path)

    def results(self, running: Running) -> dict[str, str]:
        folder = running.job.spec.folder
        assert folder is not None
        running.results = self._bucket.find_results(folder, self._work, running.manifest)
        return {
            f"{folder}/{relative}": version_of(os.stat(self._work / relative))
            for relative in running.results
        }

    def stage_out(self, running: Running) -> None:
        folder = running.job.spec.folder
        assert folder is not None
        self._bucket.stage_out(folder, self._work, running.results)

    def discard(self, running: Running) -> None:
        if running.ended is None:
            self._kill_leftovers(running)
        self._keep_log(running)
        if running.job.spec.folder is not None:
            remove_tree(self._work)


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


def _reap(running: Running) -> bool:
    if running.ended is None:
        pid, status = os.waitpid(running.pid, os.WNOHANG)
        if pid:
            running.ended = status
    return running.ended is not None


def _hopeless(problem: str) -> Ended:
    return Ended(problem=problem, retry_helps=False)


def _contains(path: str, text: str) -> bool:
    """Whether a file holds a text, read piece by piece, however long it is."""
    needle = text.encode()
    with open(path, "rb", buffering=0) as file:
        kept = b""
        while piece := file.read(READ_BYTES):
            if needle in (window := kept + piece):
                return True
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
