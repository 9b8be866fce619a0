"""Distributions of times: percentiles that are values which occurred, and histograms."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

import msgspec

from shoal.report.svg import DAY_S, STEPS_S, nice_step

BINS = 24
HEAVY_TAIL = 10
"""Where the slowest take so many times the median, the bins are not even: they grow, from each to
the next by about a quarter."""

GROWING = (1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.4, 8)

SHARES = (50, 90, 95, 99)


class Distribution(msgspec.Struct, frozen=True):
    """How long a number of things took, in seconds.

    Args:
        count: how many there are.
        total_s, mean_s, min_s, max_s: of all.
        percentiles: by per cent; each is the least value that so many are not above.
        edges: of the histogram's bins, one more than there are counts; a value on an edge is in the
            bin above it, but for the last.
        counts: how many are in each bin.
    """

    count: int
    total_s: float
    mean_s: float
    min_s: float
    max_s: float
    percentiles: dict[int, float]
    edges: tuple[float, ...]
    counts: tuple[int, ...]


def distribution(values: Iterable[float]) -> Distribution | None:
    """Describe values that are not negative, in seconds; None when there are none."""
    ordered = sorted(values)
    if not ordered:
        return None
    total = math.fsum(ordered)
    edges = _edges(ordered)
    return Distribution(
        count=len(ordered),
        total_s=total,
        mean_s=total / len(ordered),
        min_s=ordered[0],
        max_s=ordered[-1],
        percentiles={share: percentile(ordered, share) for share in SHARES},
        edges=edges,
        counts=binned(ordered, edges),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least of sorted values that at least `share` per cent of them are not above."""
    place = math.ceil(share * len(ordered) / 100) - 1
    return ordered[min(len(ordered) - 1, max(0, place))]


def binned(values: Iterable[float], edges: Sequence[float]) -> tuple[int, ...]:
    """How many values are between each two edges."""
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(len(counts) - 1, max(0, bisect_right(edges, value) - 1))] += 1
    return tuple(counts)


def _edges(ordered: Sequence[float]) -> tuple[float, ...]:
    most = ordered[-1]
    if most <= 0:
        return (0.0, 1.0)
    if most > HEAVY_TAIL * percentile(ordered, 50):
        return _growing_edges(max(percentile(ordered, 5), most / 1e6), most)
    step = next((step for step in STEPS_S if most / step <= BINS), None)
    step = step or DAY_S * nice_step(most / DAY_S, BINS)
    bins = max(1, math.ceil(most / step - 1e-9))
    return tuple(round(step * place, 12) for place in range(bins + 1))


def _growing_edges(least: float, most: float) -> tuple[float, ...]:
    edges = [0.0]
    power = math.floor(math.log10(least))
    while True:
        for factor in GROWING:
            edge = float(f"{factor}e{power}")
            if edge > least or len(edges) > 1:
                edges.append(edge)
            if edge >= most:
                return tuple(edges)
        power += 1
