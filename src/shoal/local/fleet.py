"""The fleet on one machine: each worker is a process of its own, in its own session.

A worker holds a lock on its file for as long as it lives; the kernel lets go of it when the
process ends, whatever ends it. So whoever gets the lock knows that the worker is gone.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from shoal.core.errors import EnvironmentBusy
from shoal.local import processes
from shoal.local.bells import IDLE, STOP
from shoal.local.bucket import remove_work
from shoal.local.layout import Layout
from shoal.ports import Worker

log = logging.getLogger(__name__)

GLANCES, GLANCE_S = 10, 0.001
"""Who looks whether a lock is held holds it for a moment: such moments are waited for."""


class LocalFleet:
    """A `ports.Fleet`.

    Args:
        layout: of the environment.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._launched: dict[str, subprocess.Popen[bytes]] = {}

    def workers(self) -> list[Worker]:
        found = []
        for path in sorted(self._layout.workers.glob("*.lock")):
            if not is_locked(path):
                continue
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Worker))
            except (msgspec.DecodeError, FileNotFoundError):
                continue  # it has just come, or just gone
        return found

    def size(self) -> int:
        alive = {worker.worker for worker in self.workers()}
        return len(alive | {name for name, child in self._launched.items() if child.poll() is None})

    def reclaim(self, worker: str) -> bool:
        path = _lock_path(self._layout, worker)
        if is_locked(path):
            return False
        try:
            # Held to the end: a worker that is just starting waits, then makes itself a new one.
            fd = lock_file(path, wait=False)
        except BlockingIOError:
            return False
        try:
            os.ftruncate(fd, 0)  # so that the lock held here does not pass for a worker that lives
            processes.kill_started_by(worker)
            remove_work(self._layout, worker)
            for kind in (IDLE, STOP):
                (self._layout.bells / kind / worker).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        except OSError as stuck:  # a process that hangs in the kernel, a folder that can't go
            log.error("can't clear up after worker %s yet: %s", worker, stuck)
            return False
        finally:
            os.close(fd)
        return True

    def reclaim_lost(self) -> int:
        """Clear up after workers that were killed, with a job or without; returns how many."""
        return sum(self.reclaim(path.stem) for path in self._layout.workers.glob("*.lock"))

    def launch(self, count: int) -> None:
        for _ in range(count):
            worker = f"w-{os.urandom(4).hex()}"
            with self.log_path(worker).open("ab") as log:
                self._launched[worker] = subprocess.Popen(
                    # -P: a module in the current folder must not pass for one of ours.
                    [sys.executable, "-P", "-m", "shoal.cli.worker", self._layout.root, worker],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd=self._layout.own,
                )

    def drain(self) -> None:
        """Ask all workers to leave after what they run."""
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Send a signal to all workers."""
        for worker in self.workers():
            assert worker.pid is not None
            try:
                os.kill(worker.pid, number)
            except ProcessLookupError:
                continue  # it has just left

    def take_failed(self) -> list[tuple[str, int]]:
        """The workers launched from here that ended badly since the last call: name, exit code."""
        ended = {
            name: code
            for name, child in self._launched.items()
            if (code := child.poll()) is not None
        }
        for name, code in ended.items():
            del self._launched[name]
            if code == 0:
                self.log_path(name).unlink(missing_ok=True)
        return [(name, code) for name, code in ended.items() if code != 0]

    def log_path(self, worker: str) -> Path:
        """Where a worker's own messages go; removed when it leaves in good order."""
        folder = self._layout.logs / "workers"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{worker}.log"


@contextmanager
def supervisor_lock(layout: Layout) -> Iterator[None]:
    """Be the one supervisor of an environment.

    Raises:
        EnvironmentBusy: there is one already.
    """
    try:
        fd = lock_file(layout.supervisor_lock, wait=False)
    except BlockingIOError:
        pid = layout.supervisor_lock.read_text().strip() or "unknown"
        raise EnvironmentBusy(
            f"{layout.root} has a supervisor already (process {pid})",
            "use that one, or end it first; 'shoal submit' and 'shoal status' work beside it",
        ) from None
    try:
        os.ftruncate(fd, 0)
        os.write(fd, b"%d\n" % os.getpid())
        yield
    finally:
        os.close(fd)


class WorkerLock:
    """What says that a worker is alive: held from construction to the end of the process.

    Args:
        layout: of the environment.
        worker: its name.
        now: the time, in seconds since the epoch.
    """

    def __init__(self, layout: Layout, worker: str, now: float) -> None:
        self._path = _lock_path(layout, worker)
        self._fd = lock_file(self._path, wait=True)
        about = Worker(worker, os.getpid(), now, os.uname().nodename)
        os.write(self._fd, msgspec.json.encode(about))

    def __enter__(self) -> WorkerLock:
        return self

    def __exit__(self, *error: object) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._fd)


def lock_file(path: Path, *, wait: bool) -> int:
    """Lock a file, made when it is missing, until the returned descriptor is closed.

    Raises:
        BlockingIOError: another process holds it, and we don't wait.
    """
    tries = 0
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(fd)
            tries += 1
            if tries == GLANCES:
                raise
            time.sleep(GLANCE_S)
            continue
        except BaseException:
            os.close(fd)
            raise
        # It may have been removed between opening and locking: then the lock says nothing.
        try:
            if os.fstat(fd).st_ino == os.stat(path).st_ino:
                return fd
        except FileNotFoundError:
            pass
        os.close(fd)


def is_locked(path: Path) -> bool:
    """Whether a process holds a lock on a file."""
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look are not in the way
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _lock_path(layout: Layout, worker: str) -> Path:
    return layout.workers / f"{worker}.lock"
