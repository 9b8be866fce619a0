"""What a process waits for: its bells, and signals (children that end, a request to leave)."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from shoal.local.bells import Bell, Bells


class HasFileno(Protocol):
    """What `select` can wait for."""

    def fileno(self) -> int: ...


class SignalAttention:
    """A `ports.Attention`; one a process, made in its main thread.

    Args:
        bells: of the environment.
        name: the worker's, under which it is rung while idle.
        bell: heard all the time.
        others: more to wake up for; reading them is up to their owners.
    """

    def __init__(self, bells: Bells, name: str, bell: Bell, others: tuple[HasFileno, ...] = ()):
        self._bells = bells
        self._name = name
        self._bell = bell
        self._own = [bell]
        self._others = list(others)
        self._drain_requests = 0
        self._signalled, writer = os.pipe()
        for fd in (self._signalled, writer):
            os.set_blocking(fd, False)
        # A signal writes a byte here, so that one which arrives before `select` still ends it.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._drain)

    @property
    def draining(self) -> bool:
        return self._drain_requests > 0

    @property
    def drain_requests(self) -> int:
        """How often the process was asked to leave."""
        return self._drain_requests

    def wait(self, timeout_s: float | None) -> bool:
        waited_for: list[int | HasFileno] = [self._signalled, *self._own, *self._others]
        readable = select.select(waited_for, [], [], timeout_s)[0]
        if self._signalled in readable:
            os.read(self._signalled, 4096)
        rang = False
        for bell in self._own:
            if bell in readable:
                rang = bell.silence() or rang
            else:
                bell.heard = 0
        return rang

    @contextmanager
    def idle(self) -> Iterator[None]:
        with self._bells.idle(self._name) as bell:
            self._own.append(bell)
            try:
                yield
            finally:
                self._own.remove(bell)

    def _drain(self, number: int, frame: FrameType | None) -> None:
        self._drain_requests += 1


def _ignore(number: int, frame: FrameType | None) -> None:
    """The wake-up byte says it all; without a handler there would be none."""
