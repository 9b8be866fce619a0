"""The stream of settlements, and the finished and failed queues.

Each run that ends takes the next number of its queue. The line itself is written after the job, so
a reader may find a number missing that is still to come: it waits for it, and goes on without it
when it is old enough to be sure that its writer is gone. A number that was taken in vain is filled
with a void line at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from shoal.aws import items, names
from shoal.aws.items import BY_UNSENT, Value, number, text
from shoal.aws.queues import Message, Queue, allowed
from shoal.aws.stops import Stops
from shoal.aws.table import Refused, Table
from shoal.core.job import Settlement, Status
from shoal.core.lifecycle import stop_batch
from shoal.core.spec import refused_json, stored_spec

TELLER_S = 90.0
"""Whoever wrote a settlement tells it within this time, or is gone."""

PATIENCE_S = 450.0
"""A line that is missing comes within this time, or never: its writer is gone by then, and the
sweep, which comes each minute and takes at most five, has told what it left untold."""

DISORDER_S = 60.0
"""Lines are in the order of their numbers, which is that of their times but for about this."""

LINES = 100
"""Read in one go, backwards."""


class SettlementLog:
    """Writes the stream of one queue, and tells the finished and failed queues.

    Args:
        jobs: the table of jobs.
        records: the table the stream is in.
        sqs: a client.
        queue: the job queue.
        stops: the batches that found what they looked for.
    """

    def __init__(self, jobs: Table, records: Table, sqs: Any, queue: str, stops: Stops) -> None:
        self._jobs = jobs
        self._stops = stops
        self._records = records
        self._queue = queue
        self._finished = Queue(sqs, names.finished_queue(queue))
        self._failed = Queue(sqs, names.failed_queue(queue))

    def next_cursor(self) -> int:
        """The number of the next line."""
        return self._records.next_number(f"count {self._queue}", "settled")

    def leave_out(self, settlement: Settlement) -> None:
        """Say that a number was taken in vain."""
        try:
            self._records.put(self._line(settlement.cursor, None), unless_there=True)
        except Refused:
            pass  # it was written after all, and told by the sweep

    def tell(self, job_id: str, settlements: list[Settlement]) -> None:
        """Write lines, tell the queues, and note on the job that it is done."""
        for settlement in settlements:
            self._tell_one(settlement)
        written = [items.settlement_value(settlement) for settlement in settlements]
        try:
            self._jobs.update(
                (job_id,), removes=["unsent", "unsent_in"], expect={"unsent": {"L": written}}
            )
        except Refused:
            pass  # there is more to tell, and who wrote that tells it, or the sweep does

    def tell_unsent(self, now: float) -> int:
        """Tell what was left untold, and not just written; how many jobs that were.

        Whoever left it may not have stopped the job's batch either, which comes before telling.
        """
        found = self._jobs.query(
            "unsent_in = :queue", {":queue": text(self._queue)}, index=BY_UNSENT
        )
        told = 0
        for known in list(found):
            item = self._jobs.get(known["job_id"]["S"])
            if item is not None and "unsent" in item:
                lines = [items.settlement_of(value) for value in item["unsent"]["L"]]
                if lines[-1].settled_at < now - TELLER_S:
                    self._stop_batches(lines)
                    self.tell(item["job_id"]["S"], lines)
                    told += 1
        return told

    def refuse_message(self, message: Message, reason: str, now: float) -> None:
        """Put a message that is no job on the failed queue, as it came, with the reason."""
        self._send_refused(message.body, reason)
        self._write_refusal(refused_json(message.body[:1_000]), reason, now)

    def refuse_object(self, key: str, reason: str, now: float) -> None:
        """Put an object that can't become a job on the failed queue, with the reason."""
        self._send_refused(refused_json(key), reason)
        self._write_refusal(refused_json(key), reason, now)

    def _send_refused(self, body: str, reason: str) -> None:
        self._failed.send_if_there(body, reason=reason, status=str(Status.FAILED))

    def _write_refusal(self, job: str, reason: str, now: float) -> None:
        cursor = self.next_cursor()
        line = Settlement(cursor, None, 0, Status.FAILED, reason, now, job)
        self._records.put(self._line(cursor, line))

    def _stop_batches(self, settlements: list[Settlement]) -> None:
        for settlement in settlements:
            if settlement.status is Status.SUCCESSFUL:
                spec = stored_spec(settlement.job)
                if spec.stop_on_success:
                    self._stops.begin(stop_batch(spec))

    def _tell_one(self, settlement: Settlement) -> None:
        self._records.put(self._line(settlement.cursor, settlement))
        queue = {Status.SUCCESSFUL: self._finished, Status.FAILED: self._failed}.get(
            settlement.status
        )
        if queue is not None:
            queue.send_if_there(
                allowed(settlement.job), reason=settlement.reason, status=settlement.status.value
            )

    def _line(self, cursor: int, settlement: Settlement | None) -> dict[str, Value]:
        line = {
            **self._records.key(f"settled {self._queue}", f"{cursor:020}"),
            "written_at": number(time.time()),
        }
        if settlement is not None:
            line["line"] = items.settlement_value(settlement)
        return line


def read_settlements(
    records: Table, queue: str, after: int, limit: int, *, patience_s: float = PATIENCE_S
) -> list[Settlement]:
    """Lines of the stream after a number, in order; it ends before one that may still come."""
    found: list[Settlement] = []
    if limit <= 0:
        return found
    last = after
    lines = records.query(
        "pk = :pk AND sk > :after",
        {":pk": text(f"settled {queue}"), ":after": text(f"{after:020}")},
        page=min(limit, 1_000),
    )
    for item in lines:
        cursor = int(item["sk"]["S"])
        if cursor != last + 1 and float(item["written_at"]["N"]) > time.time() - patience_s:
            break
        last = cursor
        if "line" in item:
            found.append(items.settlement_of(item["line"]))
            if len(found) == limit:
                break
    return found


def ended_since(records: Table, queue: str, since: float) -> Iterator[str]:
    """The jobs of which a run ended since a time, the last first; with several runs, repeatedly."""
    lines = records.query("pk = :pk", {":pk": text(f"settled {queue}")}, backwards=True, page=LINES)
    for item in lines:
        if "line" not in item:
            continue
        line = items.settlement_of(item["line"])
        if line.settled_at < since - DISORDER_S:
            return
        if line.settled_at >= since and line.job_id is not None:
            yield line.job_id
