"""The store in memory passes the conformance suite."""

from __future__ import annotations

from collections import defaultdict

import pytest

from shoal.testing.conformance import MakeStore, StoreConformance
from shoal.testing.memory import MemoryStore


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def make_store(self) -> MakeStore:
        stores: defaultdict[str, MemoryStore] = defaultdict(MemoryStore)
        return stores.__getitem__
