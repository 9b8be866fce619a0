"""Two small sums: how long to wait before a retry, and how many workers are wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core.backoff import backoff_s
from shoal.core.scaling import workers_to_launch, workers_wanted

jitters = st.floats(0, 1, exclude_max=True)
seconds = st.floats(0, 1e6)
counts = st.integers(0, 10**7)

# --- back-off -----------------------------------------------------------------------------------


def test_the_wait_doubles_up_to_the_longest() -> None:
    """Without jitter the waits are 1, 2, 4 ... seconds, and no longer than the longest."""
    waits = [backoff_s(failures, 1.0, 30.0, 0.0) for failures in range(1, 8)]
    assert waits == [1, 2, 4, 8, 16, 30, 30]


@given(st.integers(1, 10**9), seconds, seconds, jitters)
def test_jitter_takes_away_up_to_half(
    failures: int, base_s: float, max_s: float, jitter: float
) -> None:
    """Whatever the numbers, a wait is between half of the full one and all of it."""
    full_s = backoff_s(failures, base_s, max_s, 0.0)
    assert 0 <= full_s / 2 <= backoff_s(failures, base_s, max_s, jitter) <= full_s <= max_s


@given(st.integers(1, 1000), seconds, seconds)
def test_waits_never_get_shorter(failures: int, base_s: float, max_s: float) -> None:
    """One failure more is no shorter a wait."""
    first, second = (backoff_s(number, base_s, max_s, 0.0) for number in (failures, failures + 1))
    assert first <= second


def test_no_base_is_no_wait() -> None:
    """With a base of 0 a job is retried at once, however often it failed."""
    assert backoff_s(50, 0.0, 60.0, 0.5) == 0


def test_jitter_spreads() -> None:
    """Jobs that failed together wait differently long."""
    assert len({backoff_s(3, 1.0, 60.0, number / 10) for number in range(10)}) == 10


# --- scaling ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queued", "started", "slots", "limit", "wanted"),
    [
        (0, 0, 1, 8, 0),
        (1, 0, 1, 8, 1),
        (10, 100, 1, 1000, 110),  # the ones at work count too
        (10, 100, 1, 64, 64),
        (0, 3, 1, 8, 3),
        (5, 0, 4, 8, 2),
        (4, 4, 4, 8, 2),
        (5, 0, 1, 0, 0),
    ],
)
def test_workers_wanted(queued: int, started: int, slots: int, limit: int, wanted: int) -> None:
    """There is a slot for each job that is queued or started, within the limit."""
    assert workers_wanted(queued, started, slots, limit) == wanted


@given(counts, counts, st.integers(1, 64), st.integers(0, 10**5))
def test_workers_suffice_and_none_is_idle(
    queued: int, started: int, slots: int, limit: int
) -> None:
    """The workers wanted have slots for all jobs, or are all that are allowed; one fewer would
    not do."""
    wanted = workers_wanted(queued, started, slots, limit)
    assert 0 <= wanted <= limit
    assert wanted * slots >= queued + started or wanted == limit
    assert wanted == 0 or (wanted - 1) * slots < queued + started


@given(counts, counts)
def test_scaling_only_adds(wanted: int, alive: int) -> None:
    """Workers are launched up to what is wanted, and never taken away."""
    launched = workers_to_launch(wanted, alive)
    assert launched >= 0
    assert alive + launched == max(wanted, alive)
