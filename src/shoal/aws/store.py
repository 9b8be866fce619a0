"""The job store on AWS: the truth is in DynamoDB, and SQS says which job may be next.

A change is one conditional write of the job's item, guarded by status and fencing token. What
follows from it (a ticket on the job queue, a line on the finished or failed queue, the end of an
attempt or of a batch) is done after the write, can be done twice, and can be told again from the
item: a queued job must have a ticket, and a settlement that was not told yet is in its attribute
`unsent`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count, islice
from typing import Any

from shoal.aws import items, names
from shoal.aws.items import BY_LISTING, BY_TURN, Item, Value, number, text
from shoal.aws.queues import BATCH, Message, Queue
from shoal.aws.reader import StoreReader
from shoal.aws.settled import SettlementLog
from shoal.aws.stops import Stops
from shoal.aws.table import TRANSACTION, TRANSACTION_BYTES, Refused
from shoal.core.confirm import Outcome
from shoal.core.errors import JobNotFound, NotAllowed, SpecError, StaleToken
from shoal.core.job import Job, Queued, Settlement, Started, Status
from shoal.core.lifecycle import (
    Cancelled,
    Claimed,
    Decision,
    Enqueue,
    Event,
    Exited,
    Interrupted,
    Record,
    Renewed,
    RetryAsked,
    Settle,
    StopAttempt,
    StopBatch,
    Submitted,
    decide,
)
from shoal.core.spec import check_job_id, parse_job, spec_json
from shoal.ports import Submission, SubmitReport

MAX_SPEC_BYTES = 100_000
"""A job's JSON on AWS: an item holds 400 KB, with a settlement of the job, quoted, beside it."""

CANDIDATES = 10
"""Urgent and due jobs that a claim looks at: others may be faster with the first."""

LOOK_S = 20.0
"""For how long a claim looks at messages, before it says that there is no job: thousands may be
tickets of jobs that were cancelled. A function has a minute."""

STOP_S = 15.0
"""For how long whoever stops a batch cancels its jobs. Claims and the sweep cancel those left."""

STALE = 100
"""So many tickets of jobs that were cancelled are left to the workers, which cost more."""

CANCELLED_AT_ONCE = 160
"""Jobs of a stopped batch, between two looks at the time."""

MOST_TICKETS = 5_000
"""Tickets replaced in one go: a minute later there may be more."""

THREADS = 16


class AwsStore(StoreReader):
    """A `ports.JobStore` on two tables and three queues.

    Args:
        session: of boto3.
        jobs_table: the table anybody can read.
        records_table: of workers and settlements.
        queue: the job queue's name; those of the finished and failed queues follow from it.
        scale_queue: takes a nudge when jobs have come; None: nobody scales.
        wait_s: how long a claim waits for a message. SQS asks all its servers only when it waits.
        observe: is told of each change: the job before and after it.
    """

    def __init__(
        self,
        session: Any,
        jobs_table: str,
        records_table: str,
        queue: str,
        *,
        scale_queue: str | None = None,
        wait_s: int = 1,
        observe: Callable[[Job, Job], object] = lambda old, new: None,
    ) -> None:
        super().__init__(session, jobs_table, records_table, queue)
        sqs = self._clients("sqs")
        self._queue = Queue(sqs, queue)
        self._stops = Stops(self._records, queue)
        self._log = SettlementLog(self._jobs, self._records, sqs, queue, self._stops)
        self._scale = Queue(sqs, scale_queue) if scale_queue else None
        self._wait_s = wait_s
        self._observe = observe
        self._pool = ThreadPoolExecutor(THREADS)
        self._last_place = 0

    def close(self) -> None:
        self._pool.shutdown()

    # --- submit -----------------------------------------------------------------------------

    def submit(self, submissions: Iterable[Submission], now: float) -> SubmitReport:
        accepted = unchanged = 0
        remaining = iter(submissions)
        while chunk := list(islice(remaining, TRANSACTION)):
            new = self._submit_chunk(chunk, now)
            accepted += new
            unchanged += len(chunk) - new
        if accepted:
            self.nudge()
        return SubmitReport(accepted, unchanged)

    def nudge(self) -> None:
        """Have the fleet scaled soon: one nudge at a time is enough for any number of jobs.

        Whoever puts a job on the queue asks after that; a nudge that is still on its way when one
        asks will see the job. So nobody waits for the minute's look.
        """
        if self._scale is None:
            return
        key = (f"nudge {self.queue}", "-")
        now = time.time()
        until = (self._records.get(*key) or {}).get("until")
        if until is not None and float(until["N"]) > now:
            return
        try:
            self._records.update(
                key, sets={"until": number(now + names.NUDGE_S)}, expect={"until": until}
            )
        except Refused:
            return  # somebody else sends it
        self._scale.send("{}", delay_s=names.NUDGE_S)

    def _submit_chunk(self, chunk: list[Submission], now: float) -> int:
        for submission in chunk:
            _check_size(submission)
        known = {
            item["job_id"]["S"]: item
            for item in self._jobs.get_many(
                [(job_id,) for job_id in {submission.spec.job_id for submission in chunk}]
            )
        }
        fresh: dict[str, tuple[Job, int]] = {}
        rest = []
        for submission in chunk:
            job_id = submission.spec.job_id
            if job_id in known or job_id in fresh:
                rest.append(submission)
            else:
                job = decide(None, Submitted(*submission), now).job
                fresh[job_id] = (job, self._next_place())
        new = self._insert(list(fresh.values()), now)
        for submission in rest:
            # Only the first of several sees what was read: it may change it.
            new += self._submit_one(submission, now, known.pop(submission.spec.job_id, None))
        return new

    def _insert(self, jobs: list[tuple[Job, int]], now: float) -> int:
        """Write jobs that are probably new; those that are not after all go one by one."""
        new = 0
        for part in _parts([(job, place, self._new_item(job, place)) for job, place in jobs]):
            if len(part) > 1 and self._jobs.insert([item for _, _, item in part]):
                ready = [job.job_id for job, place, _ in part if items.turn(job, place) is None]
                self._queue.send_tickets(ready, self._pool)
                new += len(part)
            else:
                for job, _, _ in part:
                    submission = Submission(job.spec, job.delivery_id)
                    new += self._submit_one(submission, now, None)
        return new

    def _submit_one(
        self, submission: Submission, now: float, item: Item | None, *, ticket: bool = True
    ) -> bool:
        """Submit a job; whether that is a new run.

        Args:
            submission: of the job.
            now: the time.
            item: as last read, or None to try as a new one.
            ticket: whether the job needs a ticket.
        """
        event = Submitted(*submission)
        job_id = submission.spec.job_id
        while True:
            try:
                if item is None:
                    place = self._next_place()
                    decision = decide(None, event, now)
                    self._jobs.put(self._new_item(decision.job, place), unless_there=True)
                    self._follow(decision, None, place, now, ticket=ticket)
                    return True
                self._refuse_foreign(item)
                job, place = items.job_of(item), int(item["place"]["N"])
                decision = decide(job, event, now)
                if decision.job is job:
                    # Its ticket may have been lost on the way, or the job would not be known.
                    if isinstance(job.state, Queued) and items.turn(job, place) is None and ticket:
                        self._queue.send_tickets([job_id])
                    return False
                self._write(job, decision, now, place=place, item=item, ticket=ticket)
                return True
            except Refused as refused:
                item = refused.item or self._jobs.get(job_id)
            except StaleToken:
                item = self._jobs.get(job_id)

    def _refuse_foreign(self, item: Item) -> None:
        queue = item["queue"]["S"]
        if queue != self.queue and not Status(item["Status"]["S"]).is_final:
            raise NotAllowed(
                f"job {item['job_id']['S']!r} is {item['Status']['S']} in queue {queue}",
                "give the job another id, or wait until it is over",
            )

    def _new_item(self, job: Job, place: int) -> dict[str, Value]:
        return {
            "job_id": text(job.job_id),
            **items.run_attributes(job, self.queue, place),
            **items.state_attributes(job, self.queue, place),
        }

    def _next_place(self) -> int:
        """Jobs stand in the order of their first submission, by the clock of who submits."""
        self._last_place = max(self._last_place + 1, time.time_ns())
        return self._last_place

    # --- a worker's calls -------------------------------------------------------------------

    def claim(self, worker: str, now: float, lease_s: float) -> Job | None:
        if self.is_paused():
            return None
        give_up_at = time.monotonic() + LOOK_S
        claim = partial(self._try_claim, worker=worker, now=now, lease_s=lease_s)
        if job := self._claim_listed(partial(self._waiting_before_queue, now), claim, give_up_at):
            return job
        while time.monotonic() < give_up_at:
            message = self._queue.receive(self._wait_s)
            if message is None:
                break
            accepted = self._accept(message, now)
            taken = claim(accepted) if accepted else None
            # From here on the table answers for the job.
            self._queue.delete(message)
            if taken is not None and isinstance(taken.state, Started):
                return taken
        return self._claim_listed(partial(self._low, now), claim, give_up_at)

    def has_messages(self) -> bool:
        """Whether messages wait on the job queue, as far as SQS knows."""
        return self._queue.depths()["ApproximateNumberOfMessages"] > 0

    def assigned(self, worker: str) -> Job | None:
        """The job that a worker has claimed already: its answer may have been lost."""
        for job_id, _, known in self.started_on_workers():
            if known == worker and (found := self._jobs.get(job_id)) is not None:
                job = items.job_of(found)
                if isinstance(job.state, Started) and job.state.lease.worker == worker:
                    return job
        return None

    def _claim_listed(
        self, listed: Callable[[], list[str]], claim: Callable[[str], Job | None], give_up_at: float
    ) -> Job | None:
        """Claim the first of some jobs; where any was cancelled instead, look for more."""
        while True:
            cancelled = False
            for job_id in listed():
                taken = claim(job_id)
                if taken is not None and isinstance(taken.state, Started):
                    return taken
                cancelled = cancelled or taken is not None
            if not cancelled or time.monotonic() >= give_up_at:
                return None

    def _try_claim(self, job_id: str, worker: str, now: float, lease_s: float) -> Job | None:
        """The job, claimed, or cancelled because its batch has found what it looked for."""
        item = self._jobs.get(job_id)
        if item is None or item["queue"]["S"] != self.queue:
            return None
        job = items.job_of(item)
        if not isinstance(job.state, Queued) or job.state.not_before > now:
            return None
        event: Event = Claimed(worker, now + lease_s)
        if job.spec.stop_on_success and (reason := self._stops.reason(job.spec.batch)):
            event = Cancelled(reason)
        try:
            decision = decide(job, event, now)
            return self._write(job, decision, now, place=int(item["place"]["N"]))
        except StaleToken:
            return None

    def _waiting_before_queue(self, now: float) -> list[str]:
        """Urgent jobs, and those whose back-off is over: highest priority, then oldest."""
        found = self._candidates("turn <= :due", {":due": text(items.due(now))})
        if any(item["turn"]["S"].startswith(items.DELAYED) for item in found):
            return self._in_order(found, lambda priority: priority >= 0)
        return [item["job_id"]["S"] for item in found]

    def _low(self, now: float) -> list[str]:
        """Jobs of a priority below the usual, and those of them whose back-off is over."""
        due = {":first": text(items.DELAYED), ":due": text(items.due(now))}
        found = self._candidates("turn >= :low", {":low": text(items.LOW)})
        found += self._candidates("turn BETWEEN :first AND :due", due)
        return self._in_order(found, lambda priority: True)

    def _candidates(self, where: str, values: dict[str, Value]) -> list[Item]:
        """The first jobs of a part of the index of those that are not on SQS."""
        found = self._jobs.query(
            f"waiting = :queue AND {where}",
            {":queue": text(self.queue), **values},
            index=BY_TURN,
            page=CANDIDATES,
        )
        return list(islice(found, CANDIDATES))

    def _in_order(self, found: list[Item], takes: Callable[[int], bool]) -> list[str]:
        """Jobs of some priorities, the highest first, then the oldest."""
        whole = [
            (-priority, int(item["place"]["N"]), item["job_id"]["S"])
            for item in self._jobs.get_many([(item["job_id"]["S"],) for item in found])
            if takes(priority := items.spec_of(item).priority)
        ]
        return [job_id for _, _, job_id in sorted(whole)]

    def _accept(self, message: Message, now: float) -> str | None:
        """The job that a message is about; one that is new to the table is submitted first."""
        ticket = message.ticket
        if ticket is not None:
            return ticket
        try:
            spec = parse_job(message.body)
            submission = Submission(spec, message.message_id)
            _check_size(submission)
            self._submit_one(submission, now, self._jobs.get(spec.job_id), ticket=False)
        except (SpecError, NotAllowed) as error:
            self._log.refuse_message(message, str(error), now)
            return None
        return spec.job_id

    def renew(self, job: Job, now: float, lease_s: float) -> Job:
        return self._write(job, decide(job, Renewed(job.token, now + lease_s), now), now)

    def settle(
        self, job: Job, outcome: Outcome, now: float, backoff_s: float, next_lease_s: float | None
    ) -> Job | None:
        decision = decide(job, Exited(job.token, outcome, backoff_s), now)
        self._write(job, decision, now, output_tail=outcome.output_tail)
        if next_lease_s is None:
            return None
        assert isinstance(job.state, Started)
        return self.claim(job.state.lease.worker, now, next_lease_s)

    def interrupt(self, job: Job, reason: str, now: float, limit: int, delay_s: float) -> None:
        self._write(job, decide(job, Interrupted(job.token, reason, limit, delay_s), now), now)

    # --- a user's calls ---------------------------------------------------------------------

    def cancel(self, job_id: str, now: float) -> Job:
        return self._change(job_id, Cancelled(), now)

    def retry(self, job_id: str, now: float) -> Job:
        job = self._change(job_id, RetryAsked(), now)
        self.nudge()
        return job

    def cancel_many(self, job_ids: Sequence[str], now: float) -> list[Job]:
        return self._change_many(job_ids, Cancelled(), now)

    def retry_many(self, job_ids: Sequence[str], now: float) -> list[Job]:
        changed = self._change_many(job_ids, RetryAsked(), now)
        if changed:
            self.nudge()
        return changed

    def _change_many(
        self, job_ids: Sequence[str], event: Event, now: float, batch: str | None = None
    ) -> list[Job]:
        def change(job_id: str) -> Job | None:
            try:
                return self._change(job_id, event, now, batch)
            except (JobNotFound, NotAllowed):
                return None

        found = self._pool.map(change, dict.fromkeys(job_ids))
        return [job for job in found if job is not None]

    def _change(self, job_id: str, event: Event, now: float, batch: str | None = None) -> Job:
        """Apply an event to a job, if it still is in the batch that is meant."""
        while True:
            item = self._item(job_id)
            job, place = items.job_of(item), int(item["place"]["N"])
            if batch is not None and job.spec.batch != batch:
                raise NotAllowed(f"job {job_id!r} has left batch {batch!r}", "leave it alone")
            try:
                decision = decide(job, event, now)
                return self._write(job, decision, now, place=place, item=item)
            except StaleToken:
                continue

    def pause(self) -> None:
        self._records.put({**self._records.key(f"queue {self.queue}", "paused")})

    def resume(self) -> None:
        self._records.delete(f"queue {self.queue}", "paused")
        self.nudge()

    # --- repair -----------------------------------------------------------------------------

    def reap(self, is_lost: Callable[[str], bool], now: float, limit: int) -> list[Job]:
        started = list(self._started())
        lost = {
            worker: is_lost(worker) for worker in {item["instance_id"]["S"] for item in started}
        }
        reaped = []
        for item in started:
            worker = item["instance_id"]["S"]
            if lost[worker]:
                reason = f"worker {worker} is gone"
            elif float(item["lease_until"]["N"]) <= now:
                reason = f"worker {worker} let the lease expire"
            else:
                continue
            if job := self._reap_one(item, reason, now, limit):
                reaped.append(job)
        return reaped

    def _reap_one(self, seen: Item, reason: str, now: float, limit: int) -> Job | None:
        item = self._jobs.get(seen["job_id"]["S"])
        same = ("instance_id", "lease_until", "run", "attempt")
        if item is None or item["Status"]["S"] != Status.STARTED:
            return None
        if any(item[name] != seen[name] for name in same):
            return None
        job = items.job_of(item)
        decision = decide(job, Interrupted(job.token, reason, limit), now)
        unchanged: dict[str, Value | None] = {"lease_until": item["lease_until"]}
        try:
            return self._write(job, decision, now, place=int(item["place"]["N"]), expect=unchanged)
        except StaleToken:
            return None

    def has_queue(self) -> bool:
        """Whether the job queue is there."""
        return self._queue.exists()

    def live_counts(self, at_most: int) -> tuple[int, int]:
        """How many jobs are Queued, counted up to a limit, and how many are Started."""
        return self._number(Status.QUEUED, at_most), self._number(Status.STARTED)

    def tell_unsent(self, now: float) -> int:
        """Tell settlements whose teller went away before it had; how many."""
        return self._log.tell_unsent(now)

    def finish_stops(self, now: float, *, begun_before: float, for_s: float) -> int:
        """Cancel what is left of batches that have found what they looked for; how many jobs.

        Args:
            now: the time.
            begun_before: whoever stopped a batch after this time is perhaps still at it.
            for_s: how long to go on; the rest is for the next time.
        """
        give_up_at = time.monotonic() + for_s
        found = 0
        for stop in self._stops.unfinished(begun_before):
            if time.monotonic() >= give_up_at:
                break
            left = self._cancel_rest(stop, now, give_up_at)
            if not left and self._drop_stale_tickets(now, give_up_at):
                self._stops.finish(stop.batch)
            found += left
        return found

    def _drop_stale_tickets(self, now: float, give_up_at: float) -> bool:
        """Take tickets off the queue that no job waits behind; whether all were looked at.

        Otherwise machines would be started to do that: for all they know, it is work.
        """
        messages = self._queue.depths()["ApproximateNumberOfMessages"]
        if messages <= STALE or messages - self._number(Status.QUEUED, messages) <= STALE:
            return True
        looks = count(0, BATCH)

        def look(_: int) -> bool:
            while next(looks) < messages:
                if time.monotonic() >= give_up_at:
                    return False
                received = self._queue.receive_some(self._wait_s)
                if not received:
                    break
                named = {job_id for message in received if (job_id := self._accept(message, now))}
                self._queue.send_tickets(
                    [
                        item["job_id"]["S"]
                        for item in self._jobs.get_many([(job_id,) for job_id in named])
                        if item["queue"]["S"] == self.queue
                        and item["Status"]["S"] == Status.QUEUED
                        and "waiting" not in item
                    ]
                )
                self._queue.delete_some(received)
            return True

        return all([*self._pool.map(look, range(THREADS))])  # none goes on when this returns

    def _cancel_rest(self, stop: StopBatch, now: float, give_up_at: float) -> int:
        """Cancel the live jobs of a batch until time is up; how many were looked at."""
        live = self._lists.live(stop.batch)
        found = 0
        while part := list(islice(live, CANCELLED_AT_ONCE)):
            self._change_many(part, Cancelled(stop.reason), now, stop.batch)
            found += len(part)
            if time.monotonic() >= give_up_at:
                break
        return found

    def replace_tickets(self, now: float, *, queued_for_s: float, again_s: float) -> int:
        """Put tickets on the queue for jobs that have lost theirs, or may have.

        Args:
            now: the time.
            queued_for_s: on an empty queue, jobs that have been there for longer get a new one.
            again_s: on any queue, so do the oldest, when they have been waiting for this long,
                and again after as long.

        Returns:
            How many.
        """
        is_empty = not any(self._queue.depths().values())
        before = now - (queued_for_s if is_empty else again_s)
        waiting = self._jobs.query(
            "listing = :listing",
            {":listing": text(items.listing(self.queue, Status.QUEUED))},
            index=BY_LISTING,
        )
        without = [
            item["job_id"]["S"]
            for item in islice(waiting, MOST_TICKETS if is_empty else 100)
            if "waiting" not in item
            and max(int(item["place"]["N"]) / 1e9, _ticket_at(item)) < before
        ]

        def note(job_id: str) -> str | None:
            try:
                self._jobs.update(
                    (job_id,),
                    sets={"ticket_at": number(now)},
                    expect={"Status": text(Status.QUEUED)},
                )
            except Refused:
                return None  # claimed meanwhile
            return job_id

        noted = [job_id for job_id in self._pool.map(note, without) if job_id is not None]
        self._queue.send_tickets(noted, self._pool)
        return len(noted)

    # --- results ----------------------------------------------------------------------------

    def record_results(self, job: Job, results: dict[str, str]) -> None:
        item = self._jobs.get(job.job_id)
        if item is None or _guard(items.job_of(item)) != _guard(job):
            raise _stale(job)
        self._objects.record(job.job_id, results)

    def refuse(self, key: str, version: str, reason: str, now: float) -> None:
        if not self._objects.is_known(key, version):
            self._log.refuse_object(key, reason, now)
            self._objects.disarm(key, version)

    def disarm(self, key: str, version: str) -> None:
        self._objects.disarm(key, version)

    # --- writing ----------------------------------------------------------------------------

    def _write(
        self,
        old: Job,
        decision: Decision,
        now: float,
        *,
        place: int | None = None,
        item: Item | None = None,
        expect: Mapping[str, Value | None] | None = None,
        output_tail: str = "",
        ticket: bool = True,
    ) -> Job:
        """Write a decision on the condition that the job is the one it was made on, then follow it.

        Args:
            old: the job as the decision saw it.
            decision: what to write.
            now: the time.
            place: of the job, when known.
            item: of the job as read, which a new run needs.
            expect: more that must still hold.
            output_tail: shown in the table.
            ticket: whether a job that is queued needs a ticket.

        Raises:
            StaleToken: it is not; nothing was changed.
        """
        job = decision.job
        if place is None and isinstance(job.state, Queued) and job.spec.priority:
            place = int(self._item(job.job_id)["place"]["N"])
        place = place or 0
        sets = items.state_attributes(job, self.queue, place)
        removes = [name for name in items.STATE if name != "instance_id"]
        if job.run != old.run:
            removes += items.RUN
            sets |= items.run_attributes(job, self.queue, place)
        if output_tail:
            sets["Output_Logs"] = text(output_tail)
        appends: dict[str, Value] = {}
        told = self._settlement(job, decision, now)
        if told is not None:
            appends["unsent"] = {"L": [items.settlement_value(told)]}
            sets["unsent_in"] = text(self.queue)
        for effect in decision.effects:
            if isinstance(effect, Record):
                command = self.command_id(job.job_id, effect.attempt.token, effect.attempt.worker)
                value = items.attempt_value(effect.attempt, command)
                appends["attempts"] = {"L": [value]}
                if old.attempt % items.KEPT_ATTEMPTS == 0:
                    item = self._item(job.job_id)  # the list has grown long
        if item is not None and len(known := _attempts(item)) >= items.KEPT_ATTEMPTS:
            kept = known[-items.KEPT_ATTEMPTS // 2 :] + appends.pop("attempts", {"L": []})["L"]
            sets["attempts"] = {"L": kept}
        try:
            self._jobs.update(
                (job.job_id,),
                sets=sets,
                removes=[name for name in removes if name not in sets],
                appends=appends,
                expect={**_guard(old), **(expect or {})},
            )
        except Refused:
            if told is not None:
                self._log.leave_out(told)
            raise _stale(old) from None
        self._observe(old, job)
        self._follow(decision, told, place, now, ticket=ticket)
        return job

    def _settlement(self, job: Job, decision: Decision, now: float) -> Settlement | None:
        for effect in decision.effects:
            if isinstance(effect, Settle):
                return Settlement(
                    self._log.next_cursor(),
                    job.job_id,
                    effect.run,
                    effect.status,
                    effect.reason,
                    now,
                    spec_json(effect.spec),
                )
        return None

    def _follow(
        self, decision: Decision, told: Settlement | None, place: int, now: float, *, ticket: bool
    ) -> None:
        """Do what follows from a decision that was written."""
        job = decision.job
        stops = [
            of for of in decision.effects if isinstance(of, StopBatch) and self._stops.begin(of)
        ]
        if told is not None:
            self._log.tell(job.job_id, [told])
        for effect in decision.effects:
            if isinstance(effect, Enqueue) and ticket and items.turn(job, place) is None:
                self._queue.send_tickets([job.job_id])
            elif isinstance(effect, StopAttempt):
                self.stop(job.job_id, effect.worker, effect.token)
        for stop in stops:
            self._cancel_rest(stop, now, time.monotonic() + STOP_S)


def _ticket_at(item: Item) -> float:
    return float(item["ticket_at"]["N"]) if "ticket_at" in item else 0.0


def _attempts(item: Item) -> list[Value]:
    found: list[Value] = item.get("attempts", {"L": []})["L"]
    return found


def _guard(job: Job) -> dict[str, Value | None]:
    """What must still be so for a decision on this job to be written."""
    return {
        "Status": text(job.status),
        "run": number(job.run),
        "attempt": number(job.attempt),
    }


def _stale(job: Job) -> StaleToken:
    return StaleToken(
        f"job {job.job_id!r} is no longer {job.status} with token {job.token}",
        "drop the change; the job is in other hands or over",
    )


def _check_size(submission: Submission) -> None:
    check_job_id(submission.spec.job_id)
    size_bytes = len(spec_json(submission.spec).encode())
    if size_bytes > MAX_SPEC_BYTES:
        raise SpecError(
            f"job {submission.spec.job_id[:80]!r} has {size_bytes:,} bytes of JSON;"
            f" on AWS {MAX_SPEC_BYTES:,} are the most",
            "put what is large into a file of its job folder",
        )


def _parts(
    written: list[tuple[Job, int, dict[str, Value]]],
) -> Iterator[list[tuple[Job, int, dict[str, Value]]]]:
    """Cut into parts that one transaction takes."""
    part: list[tuple[Job, int, dict[str, Value]]] = []
    size_bytes = 0
    for entry in written:
        entry_bytes = 2_000 + 4 * len(entry[2]["spec"]["S"])
        if part and size_bytes + entry_bytes > TRANSACTION_BYTES:
            yield part
            part, size_bytes = [], 0
        part.append(entry)
        size_bytes += entry_bytes
    if part:
        yield part
