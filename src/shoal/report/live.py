"""The live view of an environment: a thread that looks now and then, and remembers a while.

Who shows it asks `latest` and `history`. When nobody has asked for a minute it looks no more, until
somebody does: a page that is left open in nobody's sight costs nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from shoal.client import Client
from shoal.core.errors import ShoalError
from shoal.core.job import Status
from shoal.ports import Worker
from shoal.report.settled import (
    KEEP_S,
    MINUTE_S,
    OUTCOMES,
    Settled,
    last_cursor,
    minutes,
    read_on,
    seeded,
    settlement_at,
)

log = logging.getLogger(__name__)

EVERY_S, EVERY_AFAR_S = 1.0, 5.0
"""Between two looks: at a folder; at what answers late and takes money for it."""

FRESH_S = 5.0
"""How long a folder is looked at through one client: an open file says nothing of its removal."""

IDLE_AFTER_S = 60.0
SHARE = 4
"""Pauses are at least so many times as long as looks: one at a million jobs takes a while."""


class Sample(msgspec.Struct, frozen=True):
    """An environment at one moment.

    Args:
        at: when, in seconds since the epoch.
        counts: jobs by status.
        workers: those alive.
        paused: whether no job may start.
        supervised: whether somebody starts workers when there are jobs.
        minute: runs that ended in the last minute, by outcome.
        window_s: how much of that minute there was anything to see, in seconds.
        took_s: what the look took.
    """

    at: float
    counts: dict[Status, int]
    workers: tuple[Worker, ...]
    paused: bool
    supervised: bool
    minute: dict[Status, int]
    window_s: float
    took_s: float

    @property
    def live(self) -> int:
        """Jobs that are not over."""
        return self.counts[Status.QUEUED] + self.counts[Status.STARTED]

    @property
    def a_minute(self) -> float:
        """Runs that end a minute, at the pace of the last one."""
        return sum(self.minute.values()) * MINUTE_S / self.window_s

    @property
    def eta_s(self) -> float | None:
        """How long the jobs that are not over take at this pace; None: there is no pace."""
        if self.paused or not (self.workers or self.supervised):
            return None
        pace = self.a_minute
        return self.live / pace * MINUTE_S if pace and self.live else None


class Sampler:
    """Looks at an environment now and then, in a thread of its own.

    Use it in a `with` statement, or call `start` and `close`. Everything else may be called by any
    thread, and returns at once.

    Args:
        connect: opens a client for the thread; it is called again after an error, and for a folder
            now and then.
        every_s: the shortest pause between two looks; None: by the environment, 1 s or 5 s.
        idle_after_s: how long nobody must have asked before it looks no more.
        fresh_s: how long a folder is looked at through one client.

    Attributes:
        is_resting: whether it looks no more, until somebody asks.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        every_s: float | None = None,
        *,
        idle_after_s: float = IDLE_AFTER_S,
        fresh_s: float = FRESH_S,
    ) -> None:
        self._connect = connect
        self._every_s = every_s
        self._idle_after_s = idle_after_s
        self._fresh_s = fresh_s
        self._changed = threading.Condition()
        self._asked_at = time.monotonic()
        self._closing = False
        self._samples: deque[Sample] = deque()
        self._settled = Settled()
        self._seeds: list[tuple[float, dict[Status, int]]] = []
        self._cursor: int | None = None
        self._error: str | None = None
        self._tried_at = 0.0
        self.is_resting = False
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more; returns when the thread has ended."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- for those who show it --------------------------------------------------------------

    @property
    def latest(self) -> Sample | None:
        """What the last look saw; None before the first. It may be old: see its `at`."""
        with self._changed:
            self._ask()
            return self._samples[-1] if self._samples else None

    @property
    def error(self) -> str | None:
        """Why the last look failed, in words; None when it did not."""
        with self._changed:
            self._ask()
            return self._error

    def fresh(self, timeout_s: float, after: float | None = None) -> Sample | None:
        """Wait for a look.

        Args:
            timeout_s: the longest to wait.
            after: for one later than this, in seconds since the epoch; None: for one that is not
                older than the pause between looks.

        Returns:
            The latest, which is older than wanted where the time ran out, or the look failed: see
            `error`.
        """
        with self._changed:
            self._ask()
            asked_at = time.time()

            def is_there() -> bool:
                since = after if after is not None else asked_at - 2 * self._pause_s()
                return self._closing or self._tried_at > since

            self._changed.wait_for(is_there, timeout_s)
            return self._samples[-1] if self._samples else None

    def history(self, points: int = 900) -> dict[str, list[float | None]]:
        """What was seen in the last quarter of an hour, as columns of equal length, for charts.

        Args:
            points: the most rows wanted.

        Returns:
            `at` (seconds since the epoch, growing), `queued`, `started`, `workers` (None where
            nobody looked), and `successful`, `failed`, `cancelled`: runs that ended in the minute
            before.
        """
        with self._changed:
            self._ask()
            samples, seeds = list(self._samples), list(self._seeds)
        rows: list[tuple[float | None, ...]] = []
        first = samples[0].at if samples else time.time()
        rows += [(at, None, None, None, *minute.values()) for at, minute in seeds if at < first]
        for of in samples:
            counts = (of.counts[Status.QUEUED], of.counts[Status.STARTED], len(of.workers))
            rows.append((of.at, *counts, *(of.minute[status] for status in OUTCOMES)))
        step = -(-len(rows) // max(1, points))
        # From the end, so that the latest is always among them.
        rows = rows[::-1][::step][::-1] if step > 1 else rows
        names = ("at", "queued", "started", "workers", *(status.lower() for status in OUTCOMES))
        columns = zip(*rows, strict=True) if rows else [()] * len(names)
        return {name: list(column) for name, column in zip(names, columns, strict=True)}

    def _ask(self) -> None:
        """Note that somebody looks on; wakes the thread when it has stopped for nobody did."""
        self._asked_at = time.monotonic()
        if self.is_resting:
            self._changed.notify_all()

    # --- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        client: Client | None = None
        opened_at = 0.0
        try:
            while not self._closing:
                try:
                    if client is None:
                        client, opened_at = self._connect(), time.monotonic()
                        self._adopt_pace(client)
                    elif self._is_old(client, opened_at):
                        last = settlement_at(client, self._cursor)
                        client.close()
                        client = None
                        client, opened_at = self._connect(), time.monotonic()
                        if settlement_at(client, self._cursor) != last:
                            self._cursor = None  # another environment has taken its place
                    self._look(client)
                except (ShoalError, OSError) as error:
                    self._failed(client, str(error))
                    client = None
                except Exception as error:
                    log.exception("a look at the environment failed")
                    self._failed(client, f"{type(error).__name__}: {error}")
                    client = None
                self._rest()
        finally:
            if client is not None:
                client.close()

    def _failed(self, client: Client | None, why: str) -> None:
        """Note why a look failed; the next one opens the environment, and counts, anew."""
        self._cursor = None
        if client is not None:
            client.close()
        with self._changed:
            self._error, self._tried_at = why, time.time()
            self._changed.notify_all()

    def _is_old(self, client: Client, opened_at: float) -> bool:
        is_folder = not client.environment.lag_s
        return is_folder and time.monotonic() - opened_at >= self._fresh_s

    def _adopt_pace(self, client: Client) -> None:
        if self._every_s is None:
            self._every_s = EVERY_AFAR_S if client.environment.lag_s else EVERY_S

    def _pause_s(self) -> float:
        took_s = self._samples[-1].took_s if self._samples else 0.0
        return max(self._every_s or EVERY_S, SHARE * took_s)

    def _rest(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, self._pause_s())
            self.is_resting = self._is_forgotten()
            self._changed.wait_for(lambda: self._closing or not self._is_forgotten())
            self.is_resting = False

    def _is_forgotten(self) -> bool:
        return time.monotonic() - self._asked_at > self._idle_after_s

    def _look(self, client: Client) -> None:
        began = time.monotonic()
        at = time.time()
        # Also when the clock was set back: a chart goes one way.
        is_late = not self._samples or abs(at - self._samples[-1].at) > 2 * MINUTE_S
        settled, seeds = self._settled, None
        if self._cursor is None or is_late:
            self._cursor = last_cursor(client)
            settled = seeded(client, at)
            seeds = minutes(settled, at) if is_late else None
        self._cursor = read_on(client, self._cursor, settled)
        counts = client.counts().by_status
        workers = tuple(client.workers())
        paused, supervised = client.is_paused(), client.is_supervised()
        minute, window_s = settled.minute(at)
        took_s = time.monotonic() - began
        sample = Sample(at, counts, workers, paused, supervised, minute, window_s, took_s)
        with self._changed:
            settled.forget(at - KEEP_S - MINUTE_S)
            self._settled = settled
            if seeds is not None:
                self._seeds = seeds
                self._samples.clear()
            self._samples.append(sample)
            while self._samples[0].at < at - KEEP_S:
                self._samples.popleft()
            self._error, self._tried_at = None, at
            self._changed.notify_all()
