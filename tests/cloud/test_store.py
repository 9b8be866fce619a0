"""The store on DynamoDB and SQS passes the conformance suite."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from unittest import mock

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, settings

from shoal.aws.store import STALE, AwsStore
from shoal.core.errors import SpecError
from shoal.core.job import Status
from shoal.ports import Counts, Order, Query
from shoal.testing.conformance import StoreConformance
from shoal.testing.conformance.base import GOOD, LIMIT, NOW, claim, settle, start, submit

from .emulator import Emulator
from .faults import FAILED, Plan
from .stacks import as_user
from .tables import make_queues, make_table

numbers = count()

DENIED = {"code": "AccessDeniedException", "status": 400}


def hunt(store: AwsStore, *job_ids: str, priority: int = 0) -> None:
    """Submit jobs of which one success is enough."""
    submit(store, *job_ids, batch="hunt", stop_on_success=True, priority=priority)


def counted(**numbers: int) -> Counts:
    """Counts by status, given by lower-case names."""
    return Counts({status: numbers.get(status.lower(), 0) for status in Status})


class TestAwsStore(StoreConformance):
    """SQS says nothing about order, so jobs of equal priority come about in theirs."""

    exact_order = False
    many, bulk = 250, 2_500
    life_settings = settings(
        max_examples=8,
        stateful_step_count=40,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow],
    )

    @pytest.fixture
    def make_store(self, emulator: Emulator) -> Iterator[Callable[[str], AwsStore]]:
        """Each name is a pair of tables with queues of their own."""
        number = next(numbers)
        made: set[str] = set()
        with ExitStack() as opened, as_user(emulator):
            session = boto3.Session()

            def make(name: str) -> AwsStore:
                full = f"c{number}-{name.replace(' ', '-')}"
                if full not in made:
                    made.add(full)
                    make_table(session.client("dynamodb"), "JobsTable", f"{full}-jobs")
                    make_table(session.client("dynamodb"), "RecordsTable", f"{full}-records")
                    make_queues(session.client("sqs"), full)
                # Waiting for messages is for real queues, which are many servers.
                store = AwsStore(session, f"{full}-jobs", f"{full}-records", full, wait_s=0)
                opened.callback(store.close)
                return store

            yield make

    # --- batches that have found what they looked for ---------------------------------------

    def test_a_stop_survives_who_began_it(
        self, emulator: Emulator, make_store: Callable[[str], AwsStore]
    ) -> None:
        """Whoever settles the winner may die at once after it: the sweep stops the batch."""
        store = make_store("jobs")
        hunt(store, "a", "b", "c")
        winner = claim(store)
        denied = {"service": "dynamodb", "operation": "PutItem", "times": 1, "error": DENIED}
        with (
            emulator.faults(Plan(rate=0, first=((FAILED, denied),))) as faults,
            mock.patch.dict(os.environ, faults.environment),
            pytest.raises(ClientError),
        ):
            make_store("jobs").settle(winner, GOOD, NOW, 0.0, None)
        assert store.counts("hunt") == counted(successful=1, queued=2)
        assert store.tell_unsent(NOW + 10) == 0
        assert store.finish_stops(NOW, begun_before=math.inf, for_s=10) == 0
        assert store.tell_unsent(NOW + 1_000) == 1
        assert store.finish_stops(NOW, begun_before=0, for_s=10) == 0
        assert store.finish_stops(NOW, begun_before=math.inf, for_s=10) == 2
        assert store.counts("hunt") == counted(successful=1, cancelled=2)
        assert next(line.job_id for line in store.settlements(0, 10)) == winner.job_id

    def test_a_stop_goes_on_until_nothing_is_left(
        self, make_store: Callable[[str], AwsStore]
    ) -> None:
        """What comes into a stopped batch while jobs are left is cancelled, too, then no more."""
        store = make_store("jobs")
        hunt(store, "a")
        settle(store, claim(store))
        submit(store, "b", batch="hunt")
        assert store.finish_stops(NOW, begun_before=math.inf, for_s=10) == 1
        assert store.finish_stops(NOW, begun_before=math.inf, for_s=10) == 0
        submit(store, "c", batch="hunt")
        assert store.finish_stops(NOW, begun_before=math.inf, for_s=10) == 0
        assert store.counts("hunt") == counted(successful=1, cancelled=1, queued=1)

    def test_jobs_of_a_stopped_batch_are_in_nobodys_way(
        self, make_store: Callable[[str], AwsStore]
    ) -> None:
        """However many of them stand before another job, it is claimed at the first call."""
        store = make_store("jobs")
        hunt(store, "a")
        settle(store, claim(store))
        for priority in (1, 0, -1):
            hunt(store, *(f"{priority} {number}" for number in range(12)), priority=priority)
        submit(store, "other", priority=-2)
        assert claim(store).job_id == "other"
        assert store.counts("hunt") == counted(successful=1, cancelled=36)

    def test_tickets_of_a_stopped_batch_go(
        self, emulator: Emulator, make_store: Callable[[str], AwsStore]
    ) -> None:
        """What is on the queue then is what can be run: no machine is started for the rest."""
        store = make_store("jobs")
        hunt(store, "a")
        held = claim(store)
        hunt(store, *(f"b {number}" for number in range(2 * STALE)))
        submit(store, "other")
        spec = '{"job_id": "sent", "commands": ["true"]}'
        store._queue.send(spec)
        settle(store, held)
        assert store._queue.depths()["ApproximateNumberOfMessages"] == 2 * STALE + 2
        assert store.finish_stops(NOW, begun_before=math.inf, for_s=30) == 0
        assert store._queue.depths()["ApproximateNumberOfMessages"] == 2
        assert {claim(store).job_id, claim(store).job_id} == {"other", "sent"}

    # --- lists ------------------------------------------------------------------------------

    def test_a_page_ends_when_its_time_is_up(self, make_store: Callable[[str], AwsStore]) -> None:
        """It says where to go on, also when it has found nothing so far."""
        store = make_store("jobs")
        submit(store, *(f"job {number}" for number in range(12)), batch="b")
        for query in (Query("job 3"), Query("job 3", (), "b", Order.OLDEST)):
            found, after, pages = [], None, 0
            while pages == 0 or after is not None:
                page = store._lists.page(query, after, 5, look_s=0)
                found += [job.job_id for job in page.jobs]
                after, pages = page.after, pages + 1
            assert (found, pages) == (["job 3"], 12)

    def test_an_order_without_an_index(self, make_store: Callable[[str], AwsStore]) -> None:
        """It is refused with those that there are."""
        with pytest.raises(SpecError, match="newest or oldest"):
            make_store("jobs").page(Query(order=Order.NAME), None, 5)

    def test_jobs_given_back_at_once_wait_for_another_attempt(
        self, make_store: Callable[[str], AwsStore]
    ) -> None:
        """They are in what happened lately, as those that back off."""
        store = make_store("jobs")
        store.interrupt(start(store, "again"), "gone", NOW, LIMIT, 0.0)
        store.interrupt(start(store, "urgent", priority=1), "gone", NOW, LIMIT, 0.0)
        submit(store, "waits")
        assert [job.job_id for job in store.recent(NOW, 10)] == ["again", "urgent"]
