"""Pieces of SVG: escaped text, short numbers, and the ticks of axes."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from datetime import datetime, timedelta
from html import escape
from typing import NamedTuple

STEPS_S = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3600 * hours for hours in (1, 2, 3, 6, 12)),
)
DAY_S = 86_400
DAYS = (1, 2, 7, 14, 30, 60, 90, 180, 365)


class Tick(NamedTuple):
    """A place on a time axis, in seconds since the epoch, and what is written there."""

    at: float
    label: str


def text(of: str) -> str:
    """Any text, escaped; what XML can't hold or nobody could see becomes a visible mark."""
    return escape("".join(char if _is_visible(char) else "\ufffd" for char in of))


def _is_visible(char: str) -> bool:
    return char.isprintable() or (char == "\n") or unicodedata.category(char) == "Zs"


def number(of: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    rounded = f"{of:.1f}"
    return rounded.removesuffix(".0") if rounded != "-0.0" else "0"


def time_ticks(since: float, until: float, at_most: int) -> list[Tick]:
    """Round local times between two times, labelled with the day where it changes.

    Args:
        since, until: in seconds since the epoch.
        at_most: how many there is room for.
    """
    span = max(until - since, 1e-3)
    for step in STEPS_S:
        if span / step <= at_most:
            return list(_ticks_within_days(since, until, step))
    days = next((days for days in DAYS if span / DAY_S / days <= at_most), None)
    return list(_ticks_of_days(since, until, days or math.ceil(span / DAY_S / at_most)))


def _ticks_within_days(since: float, until: float, step: float) -> Iterator[Tick]:
    offset = datetime.fromtimestamp(since).astimezone().utcoffset() or timedelta()
    shift = offset.total_seconds()
    first = math.ceil((since + shift) / step - 1e-9)
    day_before = None
    for index in range(first, math.floor((until + shift) / step + 1e-9) + 1):
        at = index * step - shift
        moment = datetime.fromtimestamp(at).astimezone()
        label = moment.strftime("%H:%M" if step >= 60 else "%H:%M:%S")
        if step < 1:
            label = _with_fraction(at, step)
        day = moment.date()
        if day_before not in (None, day):
            label = f"{moment.day} {moment:%b} {label}"
        day_before = day
        yield Tick(at, label)


def _with_fraction(at: float, step: float) -> str:
    digits = max(1, -math.floor(math.log10(step)))
    whole = math.floor(at + 1e-6)
    moment = datetime.fromtimestamp(whole).astimezone()
    return f"{moment:%H:%M:%S}" + f"{max(0.0, at - whole):.{digits}f}"[1:]


def _ticks_of_days(since: float, until: float, days: int) -> Iterator[Tick]:
    day = datetime.fromtimestamp(since).astimezone().replace(hour=0, minute=0, second=0)
    day = day.replace(microsecond=0)
    while True:
        # Midnight by the clock on the wall: a day may have 23 or 25 hours.
        at = datetime(day.year, day.month, day.day).astimezone().timestamp()
        if at > until:
            return
        if at >= since:
            yield Tick(at, f"{day.day} {day:%b}" if days < 90 else f"{day:%b %Y}")
        day += timedelta(days=days)


def nice_step(span: float, at_most: int) -> float:
    """A round step (1, 2 or 5 times a power of ten) that fits a span at most so often."""
    raw = max(span, 1e-12) / max(at_most, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1, 2, 5, 10):
        if factor * power >= raw * (1 - 1e-9):
            return factor * power
    return 10 * power
