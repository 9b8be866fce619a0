"""Bells: named pipes that wake a waiting process the moment a change concerns it.

A bell only says "look now"; what changed is in the store. Whoever waits also looks from time to
time, so a bell that is not heard (a file system without named pipes, say) costs time, not jobs.

    bells/idle/WORKER       a worker that waits for a job
    bells/stop/WORKER       a worker: the attempt that it runs may have to end
    bells/watch/NAME        a client that waits for settlements
    bells/supervisor/main   the supervisor: more workers may be wanted
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MTIME_STEP_NS = 50_000_000

IDLE, STOP, WATCH, SUPERVISOR = "idle", "stop", "watch", "supervisor"


class Bell:
    """A bell of one's own, to wait on. It is there from construction until `close`.

    Args:
        path: where it hangs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.heard = 0
        """How many rings the last look has taken."""
        self._unheard: int | None = None
        try:
            for folder in (path.parent.parent, path.parent):  # no more: what is gone stays gone
                folder.mkdir(exist_ok=True)
            path.unlink(missing_ok=True)
            os.mkfifo(path, 0o600)
            # Opened for writing too, so that the pipe never reports end-of-file between ringers.
            self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        except OSError:
            # It can't hang there (no room, no right, no named pipes), so nobody will ring it.
            self._fd, self._unheard = os.pipe()

    def fileno(self) -> int:
        return self._fd

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until it rings; whether it did."""
        readable, _, _ = select.select([self._fd], [], [], timeout_s)
        return bool(readable) and self.silence()

    def silence(self) -> bool:
        """Take all rings so far; whether there were any."""
        try:
            self.heard = len(os.read(self._fd, 65_536))
        except BlockingIOError:
            self.heard = 0
        return self.heard > 0

    def take_down(self) -> None:
        """Let nobody ring it any more; what has rung so far may still be heard."""
        if self._unheard is None:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        self.take_down()
        if self._unheard is not None:
            os.close(self._unheard)
        os.close(self._fd)

    def __enter__(self) -> Bell:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Bells:
    """All bells of an environment, for ringing.

    Args:
        folder: where they hang.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._idle, self._stop, self._watch, self._supervisor = (
            os.path.join(folder, kind) for kind in (IDLE, STOP, WATCH, SUPERVISOR)
        )

        self._watchers: list[str] = []
        self._watchers_ns = 0

    def hang(self, kind: str, name: str) -> Bell:
        """A bell of one's own; close it when done."""
        return Bell(self.folder / kind / name)

    @contextmanager
    def idle(self, name: str) -> Iterator[Bell]:
        """The bell of a worker that waits for a job.

        Rings are for a job each, and who waits leaves with one job: what else it has heard, and
        what rang after its last look, it passes on to those who wait still.
        """
        with self.hang(IDLE, name) as bell:
            try:
                yield bell
            finally:
                bell.take_down()
                others = max(0, bell.heard - 1)
                bell.silence()
                self._wake(others + bell.heard)

    def ring_worker(self, worker: str) -> None:
        """Make a worker look whether its attempt is still wanted."""
        _ring(f"{self._stop}/{worker}")

    def ring_workers(self, jobs: int | None) -> None:
        """Wake as many idle workers as there are new jobs (None: all), and the supervisor."""
        self._wake(jobs)
        self.ring_supervisor()

    def _wake(self, jobs: int | None) -> None:
        if jobs == 0:
            return
        woken = 0
        for name in _names(self._idle):
            if jobs is not None and woken >= jobs:
                break
            woken += _ring(f"{self._idle}/{name}")

    def ring_supervisor(self) -> None:
        """Make the supervisor look what is wanted."""
        _ring(f"{self._supervisor}/main")

    def ring_watchers(self) -> None:
        """Make clients look at what has settled. Called once a job, so it keeps what it found."""
        try:
            changed_ns = os.stat(self._watch).st_mtime_ns
        except FileNotFoundError:
            return
        if changed_ns != self._watchers_ns:
            self._watchers = _names(self._watch)
            # A folder's time stands still for milliseconds: what is fresh is looked at again.
            settled = time.time_ns() - changed_ns > MTIME_STEP_NS
            self._watchers_ns = changed_ns if settled else 0
        for name in self._watchers:
            _ring(f"{self._watch}/{name}")


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _ring(path: str) -> bool:
    """Ring one bell; False when nobody listens (its owner is gone, or has just taken it down)."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        os.write(fd, b"!")
    except BlockingIOError:
        pass  # the pipe is full of rings not heard yet: one more says nothing new
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
