"""Gives each test of the command line a shell of its own, and ends what was started in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A user's shell."""
    made = Shell(tmp_path)
    yield made
    made.close()
