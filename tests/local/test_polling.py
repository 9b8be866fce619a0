"""The intake watch where the kernel does not tell: it looks from time to time."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from .watched import QUIET_S, Watched


@pytest.fixture
def polled(watched: Watched) -> Iterator[Watched]:
    """A watch that only looks from time to time."""
    polled = Watched(watched.root, listen=False)
    yield polled
    polled.watch.close()


def test_polling_finds_what_is_complete(polled: Watched) -> None:
    """Without word from the kernel, each look finds the executables that are there."""
    assert polled.found() == []
    polled.put("a/b/run.sh")
    assert polled.found(later_s=2) == ["a/b/run.sh"]
    polled.put("a/later.sh")
    assert "a/later.sh" in polled.found(later_s=4)
    assert polled.watch.next_look() is not None


def test_polling_does_not_find_what_is_still_written(polled: Watched) -> None:
    """An upload under way is incomplete for a watch that polls, too."""
    path = polled.put("job/run.sh")
    with path.open("a"):
        assert polled.found() == []
        assert polled.found(later_s=QUIET_S * 9) == []
    assert polled.found(later_s=QUIET_S * 20) == ["job/run.sh"]


def test_polling_wakes_nobody_up(polled: Watched) -> None:
    """What waits for the watch's descriptor waits until its time, and holds one descriptor."""
    polled.put("job/run.sh")
    number = polled.watch.fileno()
    assert select.select([polled.watch], [], [], 0) == ([], [], [])
    assert polled.watch.fileno() == number
