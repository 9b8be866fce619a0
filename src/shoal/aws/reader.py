"""The reading half of the job store on AWS.

Lists and counts come from an index, which is a moment behind the table; a job by its id is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from shoal.aws import items
from shoal.aws.items import BY_LISTING, BY_TURN, Item, text
from shoal.aws.lists import ORDERS, Lists
from shoal.aws.objects import Objects
from shoal.aws.settled import ended_since, read_settlements
from shoal.aws.table import Table
from shoal.aws.workers import Assignment, Workers
from shoal.core.errors import JobNotFound, SpecError
from shoal.core.job import Attempt, Job, Queued, Settlement, Started, Status, Token
from shoal.core.spec import check_job_id
from shoal.ports import Backlog, Counts, Page, Query

CONFIG = Config(
    connect_timeout=3,
    read_timeout=10,
    retries={"mode": "standard", "max_attempts": 6},
    max_pool_connections=32,  # more than there are threads: those left over would be thrown away
)
"""A call that gets no answer is repeated; all our writes may be."""

GIVEN_BACK = 1_000
"""Queued jobs that are looked at for those that had an attempt already."""

STOPPED_ALREADY = ("InvalidCommandId", "InvalidInstanceId")


class StoreReader:
    """What can be known about jobs.

    Args:
        session: of boto3.
        jobs_table: the table anybody can read.
        records_table: of workers and settlements.
        queue: the job queue's name.
    """

    def __init__(self, session: Any, jobs_table: str, records_table: str, queue: str) -> None:
        self.queue = queue
        self._session = session
        self._known_clients: dict[str, Any] = {}
        dynamodb = self._clients("dynamodb")
        self._jobs = Table(dynamodb, jobs_table, ("job_id",))
        self._records = Table(dynamodb, records_table, ("pk", "sk"))
        self._lists = Lists(self._jobs, queue)
        self._objects = Objects(self._records, queue)
        self.workers = Workers(self._records)
        self._last_command: tuple[str, str, str] | None = None

    def _clients(self, service: str) -> Any:
        """A client, made when it is first needed."""
        if service not in self._known_clients:
            client = self._session.client(service, config=CONFIG)
            self._known_clients[service] = client
        return self._known_clients[service]

    # --- jobs -------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job:
        return items.job_of(self._item(job_id))

    def jobs(
        self,
        pattern: str | None = None,
        statuses: Sequence[Status] = (),
        limit: int | None = None,
        batch: str | None = None,
    ) -> list[Job]:
        return self._lists.jobs(pattern, statuses, limit, batch)

    orders = ORDERS

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        return self._lists.page(query, after, limit)

    def attempts(self, job_id: str) -> list[Attempt]:
        try:
            item = self._item(job_id)
        except JobNotFound:
            return []
        return [record.attempt for record in items.attempts_of(item)]

    def attempts_of(self, jobs: Sequence[Job]) -> dict[str, list[Attempt]]:
        return self._lists.attempts([job.job_id for job in jobs])

    def recent(self, since: float, limit: int) -> list[Job]:
        """As in `ports.JobStore`.

        Of the jobs that wait for another attempt, those that were given back at once and not to
        back off are looked for among the first GIVEN_BACK that are queued: jobs are claimed about
        in their order, so they are in front.
        """
        listed = [
            *islice(self._lists.of_status(Status.STARTED, backwards=True), limit),
            *islice(self._waiting_again(), limit),
        ]
        live = self._lists.whole([*dict.fromkeys(item["job_id"]["S"] for item in listed)])
        running = [
            (job.state.lease.started_at, job) for job in live if isinstance(job.state, Started)
        ]
        running.sort(key=lambda entry: -entry[0])
        waiting = [job for job in live if isinstance(job.state, Queued) and job.attempt]
        found = {job.job_id: job for job in (*(job for _, job in running), *waiting)}
        ended: dict[str, None] = {}
        for job_id in ended_since(self._records, self.queue, since):
            if len(found) + len(ended) >= limit:
                break
            if job_id not in found:
                ended[job_id] = None
        return [*found.values(), *self._lists.whole([*ended])][:limit]

    def _waiting_again(self) -> Iterator[Item]:
        """Entries of jobs that wait for another attempt, about in the order of their places."""
        queued = islice(self._lists.of_status(Status.QUEUED), GIVEN_BACK)
        given_back = [item for item in queued if int(item["attempt"]["N"]) > 0]
        delayed = self._jobs.query(
            "waiting = :queue AND begins_with(turn, :delayed)",
            {":queue": text(self.queue), ":delayed": text(f"{items.DELAYED} ")},
            index=BY_TURN,
            page=GIVEN_BACK,
        )
        both = [*given_back, *islice(delayed, GIVEN_BACK)]
        return iter(sorted(both, key=lambda item: int(item["place"]["N"])))

    def counts(self, batch: str | None = None) -> Counts:
        if batch is not None:
            return Counts(self._lists.count(batch))
        return Counts({status: self._number(status) for status in Status})

    def backlog(self, now: float, at_most: int) -> Backlog:
        started = self._number(Status.STARTED)
        if self.is_paused():
            return Backlog(0, started, None, self._number(Status.QUEUED, at_most))
        backing_off = "waiting = :queue AND turn BETWEEN :now AND :low"
        values = {
            ":queue": text(self.queue),
            ":now": text(items.due(now) + "~"),
            ":low": text(items.LOW),
        }
        delayed = self._jobs.count(backing_off, values, index=BY_TURN)
        later = self._jobs.query(backing_off, values, index=BY_TURN, page=1) if delayed else ()
        next_due = next((float(item["turn"]["S"].split()[1]) for item in later), None)
        ready = self._number(Status.QUEUED, at_most + delayed) - delayed
        return Backlog(max(0, min(ready, at_most)), started, next_due)

    def settlements(self, after: int, limit: int) -> list[Settlement]:
        return read_settlements(self._records, self.queue, after, limit)

    def is_paused(self) -> bool:
        return self._records.get(f"queue {self.queue}", "paused") is not None

    # --- objects ----------------------------------------------------------------------------

    def results(self, job_id: str) -> list[str]:
        return self._objects.results(job_id)

    def starts_no_job(self, key: str, version: str) -> bool:
        return self._objects.is_known(key, version)

    # --- workers ----------------------------------------------------------------------------

    def started_on_workers(self) -> list[tuple[str, Token, str]]:
        """The jobs that run, each with its token and its worker."""
        return [
            (
                item["job_id"]["S"],
                Token(int(item["run"]["N"]), int(item["attempt"]["N"])),
                item["instance_id"]["S"],
            )
            for item in self._started()
        ]

    def is_going(self, worker: str) -> bool:
        """Whether a worker was told that it goes away."""
        note = self.workers.scheduler(worker)
        return note is not None and note.gone

    # --- attempts that run ------------------------------------------------------------------

    def look_at(self, worker: str) -> tuple[Assignment | None, bool]:
        """What a worker runs, as far as is written down, and whether it was told that it goes."""
        assignment, note = self.workers.both(worker)
        if assignment is not None and assignment.command_id is not None:
            # The record of the attempt names its command; who settles it has just looked.
            self._last_command = (assignment.job_id, assignment.token, assignment.command_id)
        return assignment, note is not None and note.gone

    def command_id(self, job_id: str, token: Token, worker: str) -> str | None:
        """The SSM command of an attempt that a worker runs, or was the last to run."""
        if self._last_command is not None and self._last_command[:2] == (job_id, str(token)):
            return self._last_command[2]
        assignment = self.workers.get(worker)
        if assignment is None or (assignment.job_id, assignment.token) != (job_id, str(token)):
            return None
        return assignment.command_id

    def ran_as(self, job_id: str, token: Token) -> tuple[str, str] | None:
        """The SSM command of an attempt, and its worker; None: it was never sent."""
        item = self._item(job_id)
        job = items.job_of(item)
        if isinstance(job.state, Started) and job.token == token:
            worker = job.state.lease.worker
            command_id = self.command_id(job_id, token, worker)
            return (command_id, worker) if command_id else None
        for record in items.attempts_of(item):
            if record.attempt.token == token and record.command_id is not None:
                return record.command_id, record.attempt.worker
        return None

    def stop(self, job_id: str, worker: str, token: Token) -> None:
        """End an attempt that runs. What could not be ended is, when its lease is renewed next."""
        command_id = self.command_id(job_id, token, worker)
        if command_id is None:
            return
        try:
            self._clients("ssm").cancel_command(CommandId=command_id, InstanceIds=[worker])
        except ClientError as error:
            if error.response["Error"]["Code"] not in STOPPED_ALREADY:
                raise

    # --- pieces -----------------------------------------------------------------------------

    def _item(self, job_id: str) -> Item:
        try:
            item = self._jobs.get(check_job_id(job_id))
        except SpecError:
            item = None
        # Fleets of one scheduler share the table, and none may touch the jobs of another.
        if item is None or item["queue"]["S"] != self.queue:
            raise JobNotFound(f"there is no job {job_id!r}", "'shoal status' lists them")
        return item

    def _started(self) -> Iterator[Item]:
        return self._lists.of_status(Status.STARTED)

    def _number(self, status: Status, at_most: int | None = None) -> int:
        return self._jobs.count(
            "listing = :listing",
            {":listing": text(items.listing(self.queue, status))},
            index=BY_LISTING,
            at_most=at_most,
        )
