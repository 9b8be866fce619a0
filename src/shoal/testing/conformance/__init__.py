"""The conformance suite: every promise of `ports.JobStore`, as tests that each backend must pass.

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def make_store(self) -> Iterator[MakeStore]: ...

A store that skips the suite is not a store. Nothing in here knows how a store keeps its jobs.
"""

from __future__ import annotations

from shoal.testing.conformance.base import MakeStore
from shoal.testing.conformance.batches import Batches
from shoal.testing.conformance.claiming import Claiming
from shoal.testing.conformance.life import WholeLife
from shoal.testing.conformance.objects import Objects
from shoal.testing.conformance.pages import Pages
from shoal.testing.conformance.reading import Reading
from shoal.testing.conformance.reaping import Reaping
from shoal.testing.conformance.settling import Settling
from shoal.testing.conformance.staleness import Staleness
from shoal.testing.conformance.steering import Steering
from shoal.testing.conformance.submitting import Submitting

__all__ = ["MakeStore", "StoreConformance"]


class StoreConformance(
    Submitting,
    Claiming,
    Settling,
    Staleness,
    Reaping,
    Steering,
    Reading,
    Pages,
    Batches,
    Objects,
    WholeLife,
):
    """All of it. A backend's test class gives the fixture `make_store`, see `base`."""
