"""A real environment in a temporary folder, and the processes that work on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from shoal.client import Client, connect
from shoal.core.job import Attempt, Job, Settlement, Status
from shoal.local import processes
from shoal.local.fleet import LocalFleet
from shoal.local.layout import Layout

DEADLINE_S = 90.0
"""How long to wait for what must come; far longer than it takes on a busy machine."""

QUICK = {
    "linger_s": 0.0,
    "backoff_base_s": 0.0,
    "grace_s": 0.2,
    "upload_quiet_s": 0.05,
    "max_workers": 1,
}
"""Settings without waiting times."""

Argument = str | bytes | Path

PLAIN_USER = """
import ctypes, os, sys
if os.geteuid() == 0:
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a command that heeds file modes as anybody's must who is not root."""


class Place:
    """An environment's folder with all that tests do to it.

    Args:
        root: the folder; it is made.
        settings: written to its settings file, over `QUICK`.
    """

    def __init__(self, root: Path, **settings: object) -> None:
        self.root = root
        self.layout = Layout(root)
        self.layout.own.mkdir(parents=True)
        self.set(**settings)
        self.layout.create()
        self._children: list[subprocess.Popen[str]] = []

    def set(self, **settings: object) -> None:
        """Write the settings file anew."""
        lines = [f"{name} = {_toml(value)}" for name, value in {**QUICK, **settings}.items()]
        self.layout.settings.write_text("\n".join(lines) + "\n")

    def put(self, key: str, content: str | bytes = "", mode: int = 0o644) -> Path:
        """Upload a file: complete when it appears."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{len(path.name)}.part")
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.chmod(mode)
        part.rename(path)
        return path

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client, closed at the end."""
        with connect(self.root) as client:
            yield client

    def submit(self, *jobs: dict[str, Any]) -> None:
        """Submit jobs as dicts."""
        with self.client() as client:
            client.submit(*jobs)

    def submit_folder(self, folder: str, **options: object) -> list[str]:
        """Submit a job folder of the bucket."""
        with self.client() as client:
            return client.submit_folder(self.root / folder, **options)

    def job(self, job_id: str) -> Job:
        """A job as it stands."""
        with self.client() as client:
            return client.job(job_id)

    def statuses(self) -> dict[str, Status]:
        """All jobs' statuses."""
        with self.client() as client:
            return {job.job_id: job.status for job in client.jobs()}

    def attempts(self, job_id: str) -> list[Attempt]:
        """A job's attempts that ended."""
        with self.client() as client:
            return client.attempts(job_id)

    def reason(self, job_id: str) -> str:
        """Why the job's last attempt ended as it did."""
        return self.attempts(job_id)[-1].reason

    def output(self, job_id: str) -> str:
        """What the job's last attempt has printed."""
        with self.client() as client:
            return b"".join(client.output(job_id)).decode(errors="surrogateescape")

    def events(self) -> list[Settlement]:
        """All runs that ended, and refusals."""
        with self.client() as client:
            return list(client.settlements())

    # --- processes --------------------------------------------------------------------------

    def start_worker(self, name: str | None = None, **more: Any) -> subprocess.Popen[str]:
        """A worker, running beside the test."""
        # Names are unique on a machine: what they have started is killed by them.
        name = name or f"w-{uuid.uuid4().hex[:8]}"
        command = [sys.executable, "-P", "-m", "shoal.cli.worker", str(self.root), name]
        return self.start_process(command, **more)

    def work(self, **more: Any) -> None:
        """Let one worker run until the queue is empty."""
        worker = self.start_worker(**more)
        _, said = worker.communicate(timeout=DEADLINE_S)
        assert worker.returncode == 0, said

    def start(self, *arguments: Argument, **more: Any) -> subprocess.Popen[str]:
        """A `shoal` command, running beside the test."""
        return self.start_process(
            [sys.executable, "-P", "-m", "shoal.cli.main", *arguments], **more
        )

    def shoal(
        self, *arguments: Argument, stdin: str | bytes = "", **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a `shoal` command to its end."""
        process = self.start(*arguments, **more)
        if isinstance(stdin, bytes):
            stdin = stdin.decode(errors="surrogateescape")
        said, complained = process.communicate(stdin, timeout=DEADLINE_S)
        return subprocess.CompletedProcess(arguments, process.returncode, said, complained)

    def up(self, *arguments: str, **more: Any) -> str:
        """Run a supervisor until all is done; returns what it said."""
        done = self.shoal("up", str(self.root), "--until-idle", *arguments, **more)
        assert done.returncode == 0, done.stderr
        return done.stderr

    @contextmanager
    def supervised(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A supervisor beside the test, asked to leave at the end."""
        process = self.start("up", str(self.root), *arguments)
        try:
            wait_until(lambda: self.layout.supervisor_lock.exists() or process.poll() is not None)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=DEADLINE_S)

    def start_process(
        self,
        command: Sequence[Argument],
        *,
        plain: bool = False,
        variables: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Any command, running beside the test.

        Args:
            command: the program and its arguments.
            plain: heed file modes, also when this is root.
            variables: to set in its environment, beside the name of this place.
            cwd: its current folder; beside the place when not given.
        """
        if plain:
            command = [sys.executable, "-c", PLAIN_USER, *command]
        kept = {name: text for name, text in os.environ.items() if not name.startswith("SHOAL_")}
        child = subprocess.Popen(
            command,
            env={**kept, "SHOAL_ENV": str(self.root), **(variables or {})},
            cwd=cwd or self.root.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="surrogateescape",
        )
        self._children.append(child)
        return child

    def clear(self) -> None:
        """End whatever still runs here."""
        for child in self._children:
            child.kill()
            child.communicate()
        for worker in LocalFleet(self.layout).workers():
            psutil.Process(worker.pid).kill()
        for pids in processes.find_attempts_in(str(self.root)).values():
            for pid in pids:
                os.kill(pid, signal.SIGKILL)


def wait_until(condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    """Wait for something that must come to be."""
    give_up_at = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether a process runs no more; whoever inherited it may not have reaped it yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_for_status(place: Place, job_id: str, status: Status) -> None:
    """Wait until a job is there and has a status."""
    wait_until(lambda: place.statuses().get(job_id) == status)


def _toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)
