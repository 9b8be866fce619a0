"""How long to wait before trying again."""

from __future__ import annotations


def backoff_s(failures: int, base_s: float, max_s: float, jitter: float) -> float:
    """Seconds to wait after the given number of failures: doubling, capped, spread.

    Args:
        failures: how many there were, from 1.
        base_s: the wait after the first.
        max_s: the longest wait.
        jitter: a random number in [0, 1); it takes up to half of the wait away, so that jobs
            which failed together do not come back together.
    """
    full_s = min(max_s, base_s * 2.0 ** min(failures - 1, 60))
    return full_s * (1 - jitter / 2)
