"""The store on DynamoDB and SQS passes the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import boto3
import pytest
from hypothesis import HealthCheck, Phase, settings

from shoal.aws.store import AwsStore
from shoal.testing.conformance import MakeStore, StoreConformance

from .emulator import Emulator
from .stacks import as_user
from .tables import make_queues, make_table

numbers = count()


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
    def make_store(self, emulator: Emulator) -> Iterator[MakeStore]:
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
