"""The whole life of jobs, at random: the model of `shoal.testing.model`, run on the store."""

from __future__ import annotations

from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from shoal.testing.conformance.base import MakeStore, StoreTests
from shoal.testing.model import JobLife


class WholeLife(StoreTests):
    """The stateful test."""

    life_settings = settings(
        stateful_step_count=50,
        suppress_health_check=[HealthCheck.too_slow],
    )
    """A backend that is slow to open may ask for fewer examples."""

    def test_no_life_breaks_the_invariants(self, make_store: MakeStore) -> None:
        """Whatever users, workers, crashes and late reports do, in any order, no job is lost, none
        is settled twice, and every counter is what happened."""
        numbers = count()
        exact_order = self.exact_order

        class Life(JobLife):
            def __init__(self) -> None:
                name = f"life {next(numbers)}"
                super().__init__(make_store(name), make_store(name), exact_order=exact_order)

        run_state_machine_as_test(Life, settings=self.life_settings)
