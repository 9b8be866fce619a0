"""Runs that ended lately, counted by the second: for the pace of an environment."""

from __future__ import annotations

from shoal.client import Client
from shoal.core.job import Finished, Settlement, Status

KEEP_S = 900
"""How far it goes back."""

MINUTE_S = 60
OUTCOMES = (Status.SUCCESSFUL, Status.FAILED, Status.CANCELLED)

MOST_SEEDS, MOST_SEEDS_AFAR = 20_000, 2_000
"""Runs that ended before somebody looked, and are read for all that; fewer where it costs."""

SEED_EVERY_S = 5


class Settled:
    """Runs that ended, a count a second and outcome."""

    def __init__(self) -> None:
        self._seconds: dict[int, list[int]] = {}

    def add(self, status: Status, at: float) -> None:
        """Count a run."""
        self._seconds.setdefault(int(at), [0] * len(OUTCOMES))[OUTCOMES.index(status)] += 1

    def forget(self, before: float) -> None:
        """Drop what ended before a time."""
        for second in [second for second in self._seconds if second < before]:
            del self._seconds[second]

    def minute(self, until: float) -> tuple[dict[Status, int], float]:
        """What ended in the minute before a time, and how long ago the first of it did."""
        sums, last = [0] * len(OUTCOMES), int(until)
        first = last
        for second in range(last - MINUTE_S + 1, last + 1):
            if found := self._seconds.get(second):
                first = min(first, second)
                sums = [a + b for a, b in zip(sums, found, strict=True)]
        return dict(zip(OUTCOMES, sums, strict=True)), max(1.0, until - first)


def last_cursor(client: Client) -> int:
    """The cursor of the run that ended last; found by halving, for they grow by one."""

    def is_any_after(cursor: int) -> bool:
        return bool(client.environment.store.settlements(cursor, 1))

    reach = 1
    while is_any_after(reach - 1):
        reach *= 2
    low, high = reach // 2, reach - 1  # there is one after low - 1, and none after high
    while low < high:
        middle = (low + high) // 2
        if is_any_after(middle):
            low = middle + 1
        else:
            high = middle
    return high


def settlement_at(client: Client, cursor: int | None) -> Settlement | None:
    """The run that ended with just this cursor: it tells an environment from another."""
    if not cursor:
        return None
    found = client.environment.store.settlements(cursor - 1, 1)
    return found[0] if found else None


def seeded(client: Client, at: float) -> Settled:
    """What ended before a time, as far as the history goes back."""
    settled = Settled()
    most = MOST_SEEDS_AFAR if client.environment.lag_s else MOST_SEEDS
    for job in client.recent(at - KEEP_S - MINUTE_S, most):
        if isinstance(job.state, Finished) and job.state.finished_at < at:
            settled.add(job.state.status, job.state.finished_at)
    return settled


def read_on(client: Client, cursor: int, settled: Settled) -> int:
    """Add what has ended since; returns the cursor to go on from."""
    for line in client.settlements(cursor):
        settled.add(line.status, line.settled_at)
        cursor = line.cursor
    return cursor


def minutes(settled: Settled, at: float) -> list[tuple[float, dict[Status, int]]]:
    """How many ended in the minute before, every few seconds up to a time."""
    times = [at - back for back in range(KEEP_S, 0, -SEED_EVERY_S)]
    return [(then, settled.minute(then)[0]) for then in times]
