"""The Gantt chart: which worker ran what, when, and when it had nothing to do.

A lane a worker. An attempt that is wide enough to be pointed at is an element of its own, with a
tooltip and maybe a link; where there are too many for that, the short ones of a lane are drawn as
one path a colour, each pixel as most of them ended there, and at its foot as the worst did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from shoal.core.job import Ending
from shoal.report.spans import Span
from shoal.report.svg import number, text, time_ticks
from shoal.report.words import spoken

WIDTH = 1000
MAX_LANES = 200
MAX_ELEMENTS = 3_000
MAX_BYTES = 800_000
MAX_FOCUSED = 200
"""Links that the Tab key visits; with more of them it would never come past."""

AXIS_PX, LEGEND_PX, EDGE_PX = 24, 30, 12
LABEL_PX, LABEL_CHARS = 6.4, 24
LANES_PX, THICKEST_PX, THINNEST_PX = 1_600, 22, 7
"""Room for all lanes together, and what one gets of it."""

TICK_PX = 110
MARK_PX = 3
MARKS_APART_PX, DENSE_MARKS_APART_PX = 6, 24
FOOT = 0.4
"""The share of a bar's height that shows the worst of many."""

MAX_REASON = 160

RUNNING = "running"
WORST_FIRST = (
    *(Ending.FAILED.value, Ending.INTERRUPTED.value, Ending.CANCELLED.value),
    *(RUNNING, Ending.SUCCESSFUL.value),
)
RANKS = range(len(WORST_FIRST))
WORDS = {
    Ending.SUCCESSFUL.value: "Successful",
    Ending.FAILED.value: "Failed",
    Ending.INTERRUPTED.value: "Interrupted",
    Ending.CANCELLED.value: "Cancelled",
    RUNNING: "Running",
}


class Piece(NamedTuple):
    """A span as it is drawn: from x to x, in pixels."""

    left: float
    right: float
    kind: str
    span: Span


class Lane(NamedTuple):
    """A worker's line, its pieces from left to right."""

    worker: str
    pieces: list[Piece]


class Frame(NamedTuple):
    """Where things are, in pixels, and times, in seconds since the epoch."""

    since: float
    until: float
    left: float
    right: float
    lane_px: float

    def x(self, at: float) -> float:
        """The place of a time."""
        share = (min(max(at, self.since), self.until) - self.since) / (self.until - self.since)
        return self.left + share * (self.right - self.left)

    def top(self, lane: int) -> float:
        """Where a lane begins."""
        return AXIS_PX + lane * self.lane_px


def gantt_svg(
    spans: Iterable[Span],
    since: float,
    until: float,
    *,
    job_url: Callable[[str], str] | None = None,
    width: int = WIDTH,
) -> str:
    """Draw spans as one `<svg class="gantt">`, to be put into a page as it is.

    It has a fixed width: put it into an element with `overflow-x: auto`. Bars have the classes
    `span` and one of `successful`, `failed`, `interrupted`, `cancelled`, `running`; the colours are
    in `shoal.report.look.CHART_CSS`. It has no inline style and no script, all text is escaped, and
    it stays below a megabyte however many spans there are.

    Args:
        spans: in any order; what lies outside the two times is not drawn.
        since, until: where the time axis begins and ends, in seconds since the epoch. What runs
            still is drawn up to `until`.
        job_url: makes each bar a link to its job.
        width: of the picture, in pixels.
    """
    until = max(until, since + 1e-3)
    inside = [
        span
        for span in spans
        if span.started_at <= until and (span.ended_at is None or span.ended_at >= since)
    ]
    by_worker: dict[str, list[Span]] = {}
    for span in sorted(inside, key=lambda span: span.started_at):
        by_worker.setdefault(span.worker, []).append(span)
    shown = list(by_worker)[:MAX_LANES]
    lane_px = min(THICKEST_PX, max(THINNEST_PX, LANES_PX / max(1, len(shown))))
    longest = max((min(len(name), LABEL_CHARS) for name in shown), default=0)
    frame = Frame(since, until, EDGE_PX + longest * LABEL_PX, width - EDGE_PX, lane_px)
    lanes = [Lane(worker, _pieces(by_worker[worker], frame)) for worker in shown]
    bottom = frame.top(max(1, len(lanes)))
    hidden = len(by_worker) - len(shown)
    height = bottom + LEGEND_PX + (16 if hidden else 0)
    title = f"{len(inside):,} attempts on {len(by_worker):,} workers, {_period(since, until)}"
    parts = [
        f'<svg class="gantt" xmlns="http://www.w3.org/2000/svg" width="{width}"'
        f' height="{number(height)}" viewBox="0 0 {width} {number(height)}" role="img"'
        f' aria-label="{text(title)}" font-size="11">',
        *_axis(frame, bottom),
        *_lanes(lanes, frame, job_url),
    ]
    if hidden:
        more = f"and {hidden:,} more worker{'s' * (hidden != 1)}"
        parts.append(f'<text class="label" x="4" y="{number(bottom + 13)}">{more}</text>')
    if not lanes:
        middle = (frame.left + frame.right) / 2
        parts.append(
            f'<text class="label" x="{number(middle)}" y="{number(bottom - 7)}"'
            ' text-anchor="middle">nothing ran</text>'
        )
    parts += _legend(lanes, height - 10)
    parts.append("</svg>")
    return "".join(parts)


def _pieces(spans: Sequence[Span], frame: Frame) -> list[Piece]:
    pieces = []
    for span in spans:
        left = frame.x(span.started_at)
        right = frame.x(frame.until if span.ended_at is None else span.ended_at)
        left = min(left, frame.right - 1)
        kind = RUNNING if span.ending is None else span.ending.value
        pieces.append(Piece(left, max(right, left + 1), kind, span))
    return pieces


def _axis(frame: Frame, bottom: float) -> Iterator[str]:
    room = int((frame.right - frame.left) // TICK_PX)
    for at, label in time_ticks(frame.since, frame.until, max(2, room)):
        x = number(frame.x(at))
        yield f'<path class="grid" d="M{x} {AXIS_PX - 4}V{number(bottom)}"/>'
        anchor = "end" if frame.right - frame.x(at) < 30 else "middle"
        yield f'<text class="tick" x="{x}" y="{AXIS_PX - 9}" text-anchor="{anchor}">{label}</text>'


def _lanes(lanes: Sequence[Lane], frame: Frame, job_url: Callable[[str], str] | None) -> list[str]:
    """All lanes, with as many elements of their own as are not too many, or too long."""
    widths = sorted((of.right - of.left for lane in lanes for of in lane.pieces), reverse=True)
    narrowest = 0.0 if len(widths) <= MAX_ELEMENTS else max(2.0, widths[MAX_ELEMENTS] + 0.1)
    while True:
        own = sum(width >= narrowest for width in widths)
        focused = own <= MAX_FOCUSED
        drawn = [
            part
            for place, lane in enumerate(lanes)
            for part in _lane(lane, place, frame, narrowest, job_url, focused)
        ]
        if not own or sum(map(len, drawn)) <= MAX_BYTES:
            return drawn
        narrowest = widths[own // 2] + 0.1


def _lane(
    lane: Lane,
    place: int,
    frame: Frame,
    narrowest: float,
    job_url: Callable[[str], str] | None,
    focused: bool,
) -> Iterator[str]:
    top, thick = frame.top(place), frame.lane_px
    gap = 1.5 if thick > 10 else 0.5
    middle = number(top + thick / 2)
    yield f'<path class="lane" d="M{number(frame.left)} {middle}H{number(frame.right)}"/>'
    if thick >= 9 or place % 2 == 0:
        size = "" if thick >= 11 else f' font-size="{number(max(7.0, thick))}"'
        yield (
            f'<text class="label" x="{number(frame.left - 6)}" y="{number(top + thick / 2 + 3.5)}"'
            f' text-anchor="end"{size}><title>{text(lane.worker)}</title>'
            f"{text(_shortened(lane.worker))}</text>"
        )
    own = [piece for piece in lane.pieces if piece.right - piece.left >= narrowest]
    if len(own) < len(lane.pieces):
        rest = [piece for piece in lane.pieces if piece.right - piece.left < narrowest]
        yield from _dense(rest, top + thick / 2, thick - 2 * gap)
    y, high = number(top + gap), number(thick - 2 * gap)
    for piece in own:
        yield _bar(piece, y, high, job_url, focused)
    apart = MARKS_APART_PX if len(own) == len(lane.pieces) else DENSE_MARKS_APART_PX
    marked_at = -float(apart)
    for piece in lane.pieces:
        if piece.kind == Ending.INTERRUPTED.value and piece.right - marked_at >= apart:
            marked_at = piece.right
            yield _mark(piece.right, top + thick / 2)


def _bar(
    piece: Piece, y: str, high: str, job_url: Callable[[str], str] | None, focused: bool
) -> str:
    left, wide = number(piece.left), number(max(1.0, piece.right - piece.left))
    bar = (
        f'<rect class="span {piece.kind}" x="{left}" y="{y}" width="{wide}" height="{high}">'
        f"<title>{text(_tooltip(piece.span))}</title></rect>"
    )
    if job_url is None:
        return bar
    away = "" if focused else ' tabindex="-1"'
    return f'<a href="{text(job_url(piece.span.job_id))}"{away}>{bar}</a>'


def _dense(pieces: Sequence[Piece], middle: float, thick: float) -> Iterator[str]:
    """Short spans side by side: each pixel in the colour of most of it, the worst at its foot."""
    pixels: dict[int, list[int]] = {}
    for piece in pieces:
        rank = WORST_FIRST.index(piece.kind)
        for pixel in range(int(piece.left), max(int(piece.left) + 1, round(piece.right))):
            pixels.setdefault(pixel, [0] * len(WORST_FIRST))[rank] += 1
    most = {pixel: counts.index(max(counts)) for pixel, counts in pixels.items()}
    worst = {pixel: next(filter(counts.__getitem__, RANKS)) for pixel, counts in pixels.items()}
    foot = thick * FOOT
    at_foot = {pixel: rank for pixel, rank in worst.items() if rank != most[pixel]}
    counts = {kind: sum(piece.kind == kind for piece in pieces) for kind in WORST_FIRST}
    said = ", ".join(f"{count:,} {WORDS[kind]}" for kind, count in counts.items() if count)
    title = f"{len(pieces):,} attempts too short to be drawn one by one: {said}"
    yield from _runs(most, middle, thick, title)
    yield from _runs(at_foot, middle + (thick - foot) / 2, foot, title)


def _runs(ranks: dict[int, int], middle: float, thick: float, title: str) -> Iterator[str]:
    """Pixels side by side that have the same colour, as a path a colour."""
    paths: dict[int, list[str]] = {}
    y = number(middle)
    for _, run in groupby(enumerate(sorted(ranks)), key=lambda of: (of[1] - of[0], ranks[of[1]])):
        first, *others = [pixel for _, pixel in run]
        paths.setdefault(ranks[first], []).append(f"M{first} {y}h{len(others) + 1}")
    for rank, runs in sorted(paths.items()):
        yield (
            f'<path class="span {WORST_FIRST[rank]}" stroke-width="{number(thick)}"'
            f' d="{"".join(runs)}"><title>{title}</title></path>'
        )


def _mark(x: float, y: float) -> str:
    """A cross where a worker went away."""
    left, top, size = number(x - MARK_PX), number(y - MARK_PX), 2 * MARK_PX
    return f'<path class="mark" d="M{left} {top}l{size} {size}m0 -{size}l-{size} {size}"/>'


def _legend(lanes: Sequence[Lane], y: float) -> Iterator[str]:
    kinds = {piece.kind for lane in lanes for piece in lane.pieces}
    x = float(EDGE_PX)
    for kind, word in WORDS.items():
        if kind not in kinds:
            continue
        at = f'x="{number(x)}" y="{number(y - 9)}"'
        yield f'<rect class="span {kind}" {at} width="11" height="10"/>'
        if kind == Ending.INTERRUPTED.value:
            yield _mark(x + 5.5, y - 4)
        yield f'<text class="label" x="{number(x + 16)}" y="{number(y)}">{word}</text>'
        x += 34 + len(word) * LABEL_PX
    if lanes:
        yield (
            f'<path class="lane" d="M{number(x)} {number(y - 4)}h14"/>'
            f'<text class="label" x="{number(x + 19)}" y="{number(y)}">Idle</text>'
        )


def _tooltip(span: Span) -> str:
    """What is to be known about an attempt, in a few lines."""
    word = RUNNING if span.ending is None else span.ending.value
    began = datetime.fromtimestamp(span.started_at).astimezone()
    lines = [f"{span.job_id[:MAX_REASON]}  {span.run}.{span.attempt}  {WORDS[word]}"]
    if span.ended_at is None:
        lines.append(f"since {began:%H:%M:%S} on {span.worker}")
    else:
        took = spoken(span.ended_at - span.started_at)
        lines.append(f"{began:%H:%M:%S}, {took}, on {span.worker}")
    if span.reason and span.ending is not Ending.SUCCESSFUL:
        lines.append(span.reason[:MAX_REASON])
    return "\n".join(lines)


def _shortened(name: str) -> str:
    if len(name) <= LABEL_CHARS:
        return name
    half = (LABEL_CHARS - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def _period(since: float, until: float) -> str:
    first, last = (datetime.fromtimestamp(at).astimezone() for at in (since, until))
    return f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S}"
