"""The local store passes the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shoal.local.bells import Bells
from shoal.local.store import SqliteStore
from shoal.testing.conformance import MakeStore, StoreConformance


class TestSqliteStore(StoreConformance):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Iterator[MakeStore]:
        with ExitStack() as opened:

            def make(name: str) -> SqliteStore:
                store = SqliteStore(tmp_path / f"{name}.db", Bells(tmp_path / "bells"))
                opened.callback(store.close)
                return store

            yield make
