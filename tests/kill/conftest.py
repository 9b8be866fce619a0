"""Gives tests an environment to work and kill in, and cleans up after them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .live import LiveEnvironment

MakeLive = Callable[..., LiveEnvironment]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[MakeLive]:
    """Makes a LiveEnvironment with the given settings."""
    made: list[LiveEnvironment] = []

    def make(**settings: object) -> LiveEnvironment:
        root = tmp_path / str(len(made))
        root.mkdir()
        made.append(LiveEnvironment(root, **settings))
        return made[-1]

    yield make
    for environment in made:
        environment.close()
