"""What tests of the local environment share: a place of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .place import Place
from .stage import Stage


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
