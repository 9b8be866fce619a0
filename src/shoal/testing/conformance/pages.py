"""Pages: lists of jobs that are read piece by piece, in several orders."""

from __future__ import annotations

import random

import pytest

from shoal.core.errors import SpecError
from shoal.core.job import Status
from shoal.ports import JobStore, Order, Query
from shoal.testing.conformance.base import (
    BAD,
    GOOD,
    NOW,
    StoreTests,
    claim,
    settle,
    submission,
    submit,
)

NUMBER = 60
QUERIES = [
    Query(),
    Query("*1*"),
    Query("job 2?"),
    Query(statuses=(Status.QUEUED,)),
    Query(statuses=(Status.SUCCESSFUL, Status.FAILED)),
    Query(statuses=(Status.STARTED,)),
    Query(batch="odd"),
    Query("*3", (Status.QUEUED, Status.CANCELLED), "odd"),
    Query("nobody"),
    Query("\udcff*"),
]


def read_all(store: JobStore, query: Query, size: int) -> list[str]:
    """The ids on all pages."""
    found: list[str] = []
    after = None
    while True:
        page = store.page(query, after, size)
        assert len(page.jobs) <= size
        found += [job.job_id for job in page.jobs]
        if page.after is None:
            return found
        assert page.after != after
        after = page.after


class Pages(StoreTests):
    """Tests of `page`."""

    @pytest.fixture
    def many_kinds(self, store: JobStore) -> JobStore:
        """A store with jobs of all kinds, in no order of their names."""
        numbers = [*range(NUMBER)]
        random.Random(1).shuffle(numbers)  # noqa: S311
        store.submit(
            [submission(f"job {number}", batch="odd" if number % 2 else "") for number in numbers],
            NOW,
        )
        held = [claim(store, f"w{number}") for number in range(12)]
        random.Random(2).shuffle(held)  # noqa: S311
        for place, job in enumerate(held[:8]):
            settle(store, job, BAD if place % 3 == 0 else GOOD, now=NOW + place)
        for job_id in ("job 3", "job 4", "job 13", "job 33"):
            if not store.job(job_id).status.is_final:
                store.cancel(job_id, NOW + 20)
        return store

    @pytest.mark.parametrize("size", [1, 7, 200])
    def test_all_pages_are_the_whole_list(self, many_kinds: JobStore, size: int) -> None:
        """Whatever is asked for, in whatever order, each job of it is on one page."""
        assert set(many_kinds.orders) >= {Order.NEWEST, Order.OLDEST}
        queries = QUERIES if size > 1 else QUERIES[2:8]
        for query in queries:
            listed = many_kinds.jobs(query.pattern, query.statuses, None, query.batch)
            newest = [job.job_id for job in listed]
            ended = {
                line.job_id: line.cursor
                for line in many_kinds.settlements(0, 1000)
                if line.job_id in newest
            }
            expected = {
                Order.NEWEST: newest,
                Order.OLDEST: newest[::-1],
                Order.NAME: sorted(newest),
                Order.NAME_BACKWARDS: sorted(newest, reverse=True),
                Order.ENDED: sorted(ended, key=lambda job_id: -ended[job_id]),
            }
            for order in many_kinds.orders:
                found = read_all(many_kinds, query._replace(order=order), size)
                assert found == expected[order], (query, order)

    def test_a_page_of_nothing(self, store: JobStore) -> None:
        """Where there are no jobs there is one empty page."""
        for order in store.orders:
            assert store.page(Query(order=order), None, 10) == ([], None)

    def test_a_page_goes_on_where_it_ended(self, many_kinds: JobStore) -> None:
        """Jobs that have come since don't push others onto the next page again."""
        first = many_kinds.page(Query(), None, 10)
        submit(many_kinds, "newer")
        second = many_kinds.page(Query(), first.after, 10)
        shown = [job.job_id for job in (*first.jobs, *second.jobs)]
        assert len(set(shown)) == 20
        assert "newer" not in shown

    def test_a_place_that_is_none(self, many_kinds: JobStore) -> None:
        """A cursor that no page of this order can have said is refused."""
        for place in ("x", "", "1 or 1", "\udcff", "-1", " 5", "1_0", "٣", 40 * "9"):
            with pytest.raises(SpecError):
                many_kinds.page(Query(), place, 10)
