"""What tests of the local environment share: a place of their own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .place import Place
from .stage import Stage
from .watched import Watched


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A fresh environment; what still runs in it at the end is ended."""
    place = Place(tmp_path / "jobs")
    yield place
    place.clear()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """An empty job folder, and an empty work folder."""
    return Stage(tmp_path)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A watch that has looked at its empty folder once."""
    before = signal.getsignal(signal.SIGIO)
    (tmp_path / "root").mkdir()
    watched = Watched(tmp_path / "root")
    assert watched.found() == []
    yield watched
    watched.watch.close()
    signal.signal(signal.SIGIO, before)
