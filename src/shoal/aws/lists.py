"""Lists of jobs, from the indexes of their table, which are a moment behind it."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from shoal.aws import items
from shoal.aws.items import BY_BATCH, BY_LISTING, Item, Value, text
from shoal.aws.table import BATCH_GET, Table
from shoal.core.errors import SpecError
from shoal.core.glob import matcher
from shoal.core.job import Attempt, Job, Status
from shoal.core.spec import check_batch
from shoal.ports import Order, Page, Query

PAGE_S = 1.5
"""For how long a page is looked for; the call under way then may take longer."""

LOOKED_AT = 1_000
"""Entries of an index that one call reads, where most are probably not meant."""

PLACE_DIGITS = 38
"""Of a number of DynamoDB."""

ORDERS = (Order.NEWEST, Order.OLDEST)


class Lists:
    """The jobs of a queue, in the order of their places.

    Args:
        jobs: their table.
        queue: its name.
    """

    def __init__(self, jobs: Table, queue: str) -> None:
        self._jobs = jobs
        self._queue = queue

    def of_status(self, status: Status, *, backwards: bool = False) -> Iterator[Item]:
        """The entries of the jobs of a status."""
        partition = text(items.listing(self._queue, status))
        return self._jobs.query(
            "listing = :listing", {":listing": partition}, index=BY_LISTING, backwards=backwards
        )

    def jobs(
        self, pattern: str | None, statuses: Sequence[Status], limit: int | None, batch: str | None
    ) -> list[Job]:
        """As `ports.JobStore.jobs`."""
        matches = _matcher(pattern)
        entries = self._entries(statuses, batch, backwards=True)
        ids = _distinct(job_id for job_id, _ in entries if matches(job_id))
        found: list[Job] = []
        while part := list(islice(ids, _part(limit, len(found)))):
            found += self._fitting(part, statuses, batch)
        return found

    def page(self, query: Query, after: str | None, limit: int, *, look_s: float = PAGE_S) -> Page:
        """As `ports.JobStore.page`; looks for about `look_s` seconds."""
        if query.order not in ORDERS:
            raise SpecError(
                f"jobs on AWS can't be sorted by {query.order}", f"use {' or '.join(ORDERS)}"
            )
        give_up_at = time.monotonic() + look_s
        matches = _matcher(query.pattern)
        backwards = query.order is Order.NEWEST
        is_choice = query.pattern is not None or (query.batch is not None and query.statuses)
        entries = self._entries(
            query.statuses,
            query.batch,
            backwards=backwards,
            after=None if after is None else _place(after),
            page=LOOKED_AT if is_choice else limit + 1,
        )
        ids: dict[str, None] = {}
        last: int | None = None
        for job_id, place in entries:
            is_enough = len(ids) >= limit or time.monotonic() >= give_up_at
            if is_enough and last not in (None, place):
                return Page(self._fitting([*ids], query.statuses, query.batch), str(last))
            if matches(job_id):
                ids[job_id] = None
            last = place
        return Page(self._fitting([*ids], query.statuses, query.batch), None)

    def count(self, batch: str) -> dict[Status, int]:
        """How many jobs of a batch there are, by status."""
        number = dict.fromkeys(Status, 0)
        for _, _, status in self._members(batch):
            number[status] += 1
        return number

    def live(self, batch: str) -> Iterator[str]:
        """The jobs of a batch that are not over, the oldest first."""
        live = [status for status in Status if not status.is_final]
        return (job_id for job_id, _, _ in self._members(batch, only=live))

    def attempts(self, job_ids: Sequence[str]) -> dict[str, list[Attempt]]:
        """The attempts of jobs that ended, by job."""
        found: dict[str, list[Attempt]] = {job_id: [] for job_id in job_ids}
        for item in self._read(list(found)):
            found[item["job_id"]["S"]] = [of.attempt for of in items.attempts_of(item)]
        return found

    def whole(self, job_ids: Sequence[str]) -> list[Job]:
        """Those of the jobs that are there, as they are now."""
        found = {item["job_id"]["S"]: items.job_of(item) for item in self._read(job_ids)}
        return [found[job_id] for job_id in job_ids if job_id in found]

    # --- pieces -----------------------------------------------------------------------------

    def _read(self, job_ids: Sequence[str]) -> Iterator[Item]:
        for item in self._jobs.get_many([(job_id,) for job_id in job_ids]):
            if item["queue"]["S"] == self._queue:
                yield item

    def _fitting(
        self, job_ids: Sequence[str], statuses: Sequence[Status], batch: str | None
    ) -> list[Job]:
        """Jobs that are still as they were listed: the table may know better than the index."""
        return [
            job
            for job in self.whole(job_ids)
            if (not statuses or job.status in statuses)
            and (batch is None or job.spec.batch == batch)
        ]

    def _entries(
        self,
        statuses: Sequence[Status],
        batch: str | None,
        *,
        backwards: bool,
        after: int | None = None,
        page: int | None = None,
    ) -> Iterator[tuple[str, int]]:
        """Ids and places, behind one of them; a job that changes may come under two statuses."""
        if batch is not None:
            members = self._members(batch, backwards=backwards, after=after, page=page)
            return ((job_id, at) for job_id, at, of in members if not statuses or of in statuses)
        streams = [
            self._of_status(status, backwards, after, page)
            for status in dict.fromkeys(statuses or Status)
        ]
        return heapq.merge(*streams, key=lambda entry: entry[1], reverse=backwards)

    def _of_status(
        self, status: Status, backwards: bool, after: int | None, page: int | None
    ) -> Iterator[tuple[str, int]]:
        where, values = _behind("listing", items.listing(self._queue, status), backwards, after)
        found = self._jobs.query(
            where, values, index=BY_LISTING, backwards=backwards, page=page, wanted="job_id, place"
        )
        for item in found:
            yield item["job_id"]["S"], int(item["place"]["N"])

    def _members(
        self,
        batch: str,
        *,
        backwards: bool = False,
        after: int | None = None,
        page: int | None = None,
        only: Sequence[Status] = (),
    ) -> Iterator[tuple[str, int, Status]]:
        """Ids, places and statuses of the jobs of a batch."""
        try:
            check_batch(batch)
        except SpecError:
            return  # no job can be in it
        member_of = items.member_of(self._queue, batch)
        where, values = _behind("member_of", member_of, backwards, after)
        values |= {f":{status}": text(status) for status in only}
        found = self._jobs.query(
            where,
            values,
            index=BY_BATCH,
            names={"#status": "Status"},
            backwards=backwards,
            page=page,
            only=f"#status IN ({', '.join(f':{status}' for status in only)})" if only else None,
            wanted="job_id, place, #status",
        )
        for item in found:
            yield item["job_id"]["S"], int(item["place"]["N"]), Status(item["Status"]["S"])


def _behind(
    name: str, partition: str, backwards: bool, after: int | None
) -> tuple[str, dict[str, Value]]:
    """The condition for the entries of a partition that are behind a place, and its values."""
    if after is None:
        return f"{name} = :partition", {":partition": text(partition)}
    sign = "<" if backwards else ">"
    values = {":partition": text(partition), ":after": {"N": str(after)}}
    return f"{name} = :partition AND place {sign} :after", values


def _place(after: str) -> int:
    if after.isascii() and after.isdigit() and len(after) <= PLACE_DIGITS:
        return int(after)
    raise SpecError(f"{after!r} is no place in this list", "begin with its first page")


def _matcher(pattern: str | None) -> Callable[[str], object]:
    return matcher("*" if pattern is None else pattern)


def _distinct(ids: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for job_id in ids:
        if job_id not in seen:
            seen.add(job_id)
            yield job_id


def _part(limit: int | None, found: int) -> int:
    return BATCH_GET if limit is None else min(BATCH_GET, max(0, limit - found))
