"""Numbers and times as people say them, and texts from jobs as people may see them."""

from __future__ import annotations

from datetime import datetime


def spoken(seconds: float) -> str:
    """A span of time: `40 ms`, `3.2 s`, `14 min 3 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 0.0005:
        return "0 s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.00995 else f"{seconds * 1000:.1f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, small, size, part in (
        ("d", "h", 86_400, 3_600),
        ("h", "min", 3_600, 60),
        ("min", "s", 60, 1),
    ):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size:,} {unit}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def full_clock(at: float) -> str:
    """A time with its date and zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def visible(text: str, at_most: int | None = None) -> str:
    """Text from a job, with a mark in place of what has no look of its own or turns others.

    Args:
        text: any.
        at_most: characters; what is longer is cut.
    """
    plain = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return plain if at_most is None or len(plain) <= at_most else plain[: at_most - 1] + "…"


def counted(number: int, noun: str) -> str:
    """A number of things: `1 job`, `1,200 jobs`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def percent(share: float) -> str:
    """A share, with a digit behind the point only where it says something."""
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1 %"
    if 99.9 < value < 100:
        return ">99.9 %"
    if 0 < value < 9.95 or 99 < value < 100:
        return f"{value:.1f} %"
    return f"{value:.0f} %"


def rate(a_second: float) -> tuple[str, str]:
    """How many there are in the shortest unit of time that has one at least: `("12", "minute")`."""
    units = (("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400))
    unit, size = next((of for of in units if a_second * of[1] >= 1), units[-1])
    value = a_second * size
    return (f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}"), unit
