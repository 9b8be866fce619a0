"""Bar charts as SVG: how long things took, and what ended when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from shoal.core.job import Ending, Status
from shoal.report.distribution import Distribution
from shoal.report.figures import Interval
from shoal.report.svg import nice_step, number, text, time_ticks
from shoal.report.words import counted, spoken

AXIS_PX, TOP_PX, LEAST_LEFT_PX, RIGHT_PX = 22, 18, 50, 16
CHARACTER_PX = 7
"""At most, of a label."""

LABEL_APART_PX = 62
RULES = (50, 95)
ROUND = ("1.000", "2.000", "5.000")
KINDS = {
    Status.SUCCESSFUL: Ending.SUCCESSFUL.value,
    Status.CANCELLED: Ending.CANCELLED.value,
    Status.FAILED: Ending.FAILED.value,
}
"""The statuses of a stack, from its foot, and the classes of their colours."""


def histogram_svg(of: Distribution, *, noun: str, width: int = 480, height: int = 170) -> str:
    """Draw a distribution, with lines at its median and its 95th percentile.

    Args:
        of: the distribution.
        noun: what was counted, as in `job`.
        width, height: in pixels.
    """
    edges, most = of.edges, max(of.counts)
    title = f"{counted(of.count, noun)}: median {spoken(of.percentiles[50])}"
    bottom, left = height - AXIS_PX, _left(most)
    wide = (width - left - RIGHT_PX) / len(of.counts)
    xs = [left + wide * place for place in range(len(edges))]

    def x(value: float) -> float:
        for place, (low, high) in enumerate(pairwise(edges)):
            if value <= high:
                return xs[place] + wide * (value - low) / (high - low)
        return xs[-1]

    parts = [_head("chart", width, height, title), *_scale(most, left, width, bottom)]
    for place, count in enumerate(of.counts):
        if not count:
            continue
        tall = max(1.0, (bottom - TOP_PX) * count / most)
        said = f"{spoken(edges[place])} to {spoken(edges[place + 1])}: {counted(count, noun)}"
        parts.append(
            f'<rect class="bar" x="{number(xs[place] + 0.5)}" y="{number(bottom - tall)}"'
            f' width="{number(max(1.0, wide - 1))}" height="{number(tall)}">'
            f"<title>{text(said)}</title></rect>"
        )
    parts += _edge_labels(edges, xs, width, height - 6)
    taken = -100.0
    for share in RULES:
        at = x(of.percentiles[share])
        label = "median" if share == 50 else f"{share} %"
        anchor = "start" if at < width - 60 else "end"
        parts.append(f'<path class="rule" d="M{number(at)} {TOP_PX - 3}V{bottom}"/>')
        if at - taken > 44:
            away = 3 if anchor == "start" else -3
            parts.append(
                f'<text x="{number(at + away)}" y="{TOP_PX - 6}" text-anchor="{anchor}">'
                f"{label}</text>"
            )
        taken = at
    return "".join(parts) + "</svg>"


def over_time_svg(
    intervals: Sequence[Interval], began_at: float, *, width: int = 1000, height: int = 150
) -> str:
    """Draw how many jobs ended when, a stack an interval.

    Args:
        intervals: of equal length, one after the other; at least one.
        began_at: what they count from, in seconds since the epoch.
        width, height: in pixels.
    """
    most = max(1, max(sum(of.ended.values()) for of in intervals))
    bottom, left = height - AXIS_PX, _left(most)
    wide = (width - left - RIGHT_PX) / len(intervals)
    whole_s = intervals[-1].until_s
    total = sum(sum(of.ended.values()) for of in intervals)
    title = f"{counted(total, 'job')} over time"
    parts = [_head("chart gantt", width, height, title), *_scale(most, left, width, bottom)]
    for at, label in time_ticks(began_at, began_at + whole_s, max(2, width // 110)):
        x = left + (width - left - RIGHT_PX) * (at - began_at) / whole_s
        anchor = "end" if width - x < 40 else "middle"
        parts.append(
            f'<text x="{number(x)}" y="{height - 6}" text-anchor="{anchor}">{label}</text>'
        )
    for place, of in enumerate(intervals):
        y = float(bottom)
        for status, kind in KINDS.items():
            if not (count := of.ended[status]):
                continue
            tall = (bottom - TOP_PX) * count / most
            y -= tall
            said = f"{spoken(of.since_s)} to {spoken(of.until_s)}: {count:,} {status}"
            parts.append(
                f'<rect class="span {kind}" x="{number(left + wide * place + 0.5)}"'
                f' y="{number(y)}" width="{number(max(1.0, wide - 1))}"'
                f' height="{number(max(0.5, tall))}"><title>{said}</title></rect>'
            )
    return "".join(parts) + "</svg>"


def _head(name: str, width: int, height: int, title: str) -> str:
    return (
        f'<svg class="{name}" xmlns="http://www.w3.org/2000/svg" width="{width}"'
        f' height="{height}" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{text(title)}" font-size="11">'
    )


def _left(most: int) -> int:
    """Room for the numbers of the scale."""
    return max(LEAST_LEFT_PX, 12 + CHARACTER_PX * len(f"{most:,}"))


def _scale(most: int, left: int, width: int, bottom: float) -> Iterator[str]:
    """Lines across, at round numbers."""
    step = max(1, round(nice_step(most, 3)))
    for value in range(0, most + 1, step):
        y = number(bottom - (bottom - TOP_PX) * value / most)
        yield f'<path class="grid" d="M{left} {y}H{width - RIGHT_PX}"/>'
        yield f'<text x="{left - 6}" y="{y}" dy="4" text-anchor="end">{value:,}</text>'


def _edge_labels(
    edges: Sequence[float], xs: Sequence[float], width: int, y: float
) -> Iterator[str]:
    """The edges there is room for; where bins grow, round ones."""
    grows = len(edges) > 3 and edges[-1] - edges[-2] > 1.01 * (edges[2] - edges[1])
    taken = -LABEL_APART_PX * 1.0
    every = next(
        every for every in (1, 2, 4, 5, 10, 20, 50) if (xs[1] - xs[0]) * every >= LABEL_APART_PX
    )
    for place, (edge, x) in enumerate(zip(edges, xs, strict=True)):
        if grows:
            is_round = not edge or f"{edge:.3e}".partition("e")[0] in ROUND
            if not is_round or x - taken < LABEL_APART_PX * 0.6:
                continue
        elif place % every:
            continue
        taken = x
        label = spoken(edge)
        # One that is too long for the margin leans to the left.
        x = min(x, width - CHARACTER_PX * len(label) / 2)
        yield f'<text x="{number(x)}" y="{number(y)}" text-anchor="middle">{label}</text>'
