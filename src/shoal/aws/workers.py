"""What each worker is doing: an item that says what it runs, and one that says who schedules it.

The first says who waits for the attempt (the task token of the worker's scheduler) and, once the
command was sent, its id. So a command that ended finds its scheduler, and is never sent twice.
"""

from __future__ import annotations

from typing import NamedTuple

from shoal.aws.items import Item, Value, number, text
from shoal.aws.table import Refused, Table


class Assignment(NamedTuple):
    """An attempt on a worker, from before its command is sent.

    Args:
        worker: the instance.
        job_id: of the job.
        token: the fencing token, `run.attempt`.
        command_id: of SSM; None: about to be sent, or it is not known whether it was.
        task_token: what the worker's scheduler waits for.
        sent_at: when it was written, in seconds since the epoch.
    """

    worker: str
    job_id: str
    token: str
    command_id: str | None
    task_token: str
    sent_at: float


class SchedulerNote(NamedTuple):
    """The scheduler of a worker.

    Args:
        worker: the instance.
        queue: whose jobs it runs.
        group: the Auto Scaling group it is in, or nothing.
        gone: whether the worker is going away.
    """

    worker: str
    queue: str
    group: str
    gone: bool = False


class Workers:
    """The items of the workers.

    Args:
        records: the table they are in.
    """

    def __init__(self, records: Table) -> None:
        self._records = records

    # --- what it runs -----------------------------------------------------------------------

    def get(self, worker: str) -> Assignment | None:
        """The last attempt that was given to a worker."""
        return _assignment(worker, self._records.get(_partition(worker), "attempt"))

    def assign(self, assignment: Assignment) -> Assignment:
        """Note an attempt before its command is sent, or the new task token of one that was.

        Returns:
            The same assignment when it is new. Else what was written before, with its `sent_at`
            and with the id of its command when that was sent.
        """
        key = (_partition(assignment.worker), "attempt")
        same = _attempt(assignment)
        waits = {"task_token": text(assignment.task_token)}
        while True:
            item = self._records.get(*key)
            try:
                if item is None or any(item.get(name) != value for name, value in same.items()):
                    self._records.update(
                        key,
                        sets={**same, **waits, "sent_at": number(assignment.sent_at)},
                        removes=["command_id"],
                        expect={name: item.get(name) if item else None for name in same},
                    )
                    return assignment
                self._records.update(key, sets=waits, expect=dict(same))
            except Refused:
                continue
            return _written(assignment.worker, {**item, **waits})

    def sent(self, assignment: Assignment, command_id: str) -> None:
        """Note the id of a command that was sent."""
        self._records.update(
            (_partition(assignment.worker), "attempt"),
            sets={"command_id": text(command_id)},
            expect=dict(_attempt(assignment)),
        )

    def forget(self, assignment: Assignment) -> None:
        """Take an attempt back that was certainly not sent."""
        try:
            self._records.update(
                (_partition(assignment.worker), "attempt"),
                removes=["job_id", "token"],
                expect={**_attempt(assignment), "command_id": None},
            )
        except Refused:
            pass  # it is another one by now

    # --- who schedules it -------------------------------------------------------------------

    def enlist(self, note: SchedulerNote) -> None:
        """Note that a worker gets a scheduler."""
        self._records.put(
            {
                **self._records.key(_partition(note.worker), "scheduler"),
                "queue": text(note.queue),
                "group": text(note.group),
            }
        )

    def scheduler(self, worker: str) -> SchedulerNote | None:
        """The scheduler of a worker; None: it has none of ours."""
        return _note(worker, self._records.get(_partition(worker), "scheduler"))

    def both(self, worker: str) -> tuple[Assignment | None, SchedulerNote | None]:
        """What a worker runs and who schedules it, in one read."""
        found = self._records.query("pk = :pk", {":pk": text(_partition(worker))})
        items = {item["sk"]["S"]: item for item in found}
        return _assignment(worker, items.get("attempt")), _note(worker, items.get("scheduler"))

    def mark_gone(self, worker: str) -> None:
        """Note that a worker is going away, so that it takes nothing new."""
        try:
            self._records.update(
                (_partition(worker), "scheduler"),
                sets={"gone": {"BOOL": True}},
                expect={"gone": None},
            )
        except Refused:
            pass  # noted before

    def clear(self, worker: str, now: float) -> None:
        """Have what is known of a worker that is gone forgotten in a week."""
        for what in ("attempt", "scheduler"):
            self._records.update(
                (_partition(worker), what), sets={"expires": number(int(now) + 7 * 86_400)}
            )


def _partition(worker: str) -> str:
    return f"worker {worker}"


def _note(worker: str, item: Item | None) -> SchedulerNote | None:
    if item is None or "queue" not in item:
        return None
    return SchedulerNote(worker, item["queue"]["S"], item["group"]["S"], "gone" in item)


def _attempt(assignment: Assignment) -> dict[str, Value]:
    return {"job_id": text(assignment.job_id), "token": text(assignment.token)}


def _assignment(worker: str, item: Item | None) -> Assignment | None:
    return _written(worker, item) if item is not None and "job_id" in item else None


def _written(worker: str, item: Item) -> Assignment:
    command = item.get("command_id")
    return Assignment(
        worker,
        item["job_id"]["S"],
        item["token"]["S"],
        command["S"] if command else None,
        item["task_token"]["S"],
        float(item["sent_at"]["N"]),
    )
