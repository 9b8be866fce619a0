"""Steps of a pipeline, side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .step import Step


@pytest.fixture
def step(tmp_path: Path) -> Callable[[str], Step]:
    """Makes an environment of a name."""
    return lambda name: Step(tmp_path / name)


@pytest.fixture
def steps(step: Callable[[str], Step]) -> tuple[Step, Step]:
    """Two environments, the results of the first of which go on to the second."""
    first, second = step("first"), step("second")
    first.lead(second)
    return first, second
