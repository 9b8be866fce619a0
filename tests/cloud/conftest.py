"""What the cloud tests share: one emulated account for the whole suite, and its machines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .emulator import Emulator
from .machines import Machines


@pytest.fixture(scope="session")
def _account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Machines]]:
    with (
        Machines(tmp_path_factory.mktemp("machines")) as machines,
        Emulator(tmp_path_factory.mktemp("emulator"), machines.url) as emulator,
    ):
        machines.connect(emulator)
        yield emulator, machines


@pytest.fixture(scope="session")
def emulator(_account: tuple[Emulator, Machines]) -> Emulator:
    """The emulated account."""
    return _account[0]


@pytest.fixture
def machines(_account: tuple[Emulator, Machines]) -> Iterator[Machines]:
    """The account's machines: none at the start of a test, and none left at its end."""
    _account[1].reset()
    yield _account[1]
    _account[1].reset()
