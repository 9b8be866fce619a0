"""What each worker is doing: an item a worker, written by the function that starts its attempts.

It says who waits for the attempt (the task token of the worker's scheduler) and, once the command
was sent, its id. So a command that ended finds its scheduler, and is never sent twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from shoal.aws.items import Item, number, text
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


class Workers:
    """The items of the workers.

    Args:
        records: the table they are in.
    """

    def __init__(self, records: Table) -> None:
        self._records = records

    def get(self, worker: str) -> Assignment | None:
        """The last attempt that was given to a worker."""
        item = self._records.get(f"worker {worker}", "attempt")
        return _assignment(worker, item) if item is not None else None

    def assign(self, assignment: Assignment) -> Assignment:
        """Note an attempt before its command is sent, or the new task token of one that was.

        Returns:
            What is written now: its `command_id` is that of the command, when it was sent before.
        """
        key = (f"worker {assignment.worker}", "attempt")
        same = {"job_id": text(assignment.job_id), "token": text(assignment.token)}
        try:
            self._records.update(key, sets={"task_token": text(assignment.task_token)}, expect=same)
        except Refused:
            self._records.put(
                {
                    **self._records.key(*key),
                    **same,
                    "task_token": text(assignment.task_token),
                    "sent_at": number(assignment.sent_at),
                }
            )
            return assignment
        known = self.get(assignment.worker)
        assert known is not None
        return known

    def sent(self, assignment: Assignment, command_id: str) -> None:
        """Note the id of a command that was sent."""
        self._records.update(
            (f"worker {assignment.worker}", "attempt"),
            sets={"command_id": text(command_id)},
            expect={"job_id": text(assignment.job_id), "token": text(assignment.token)},
        )

    def clear(self, worker: str) -> None:
        """Forget a worker that is gone."""
        self._records.delete(f"worker {worker}", "attempt")


def _assignment(worker: str, item: Item) -> Assignment:
    command = item.get("command_id")
    return Assignment(
        worker,
        item["job_id"]["S"],
        item["token"]["S"],
        command["S"] if command else None,
        item["task_token"]["S"],
        float(item["sent_at"]["N"]),
    )


def assignments(records: Iterator[Item]) -> Iterator[Assignment]:
    """Assignments from their items."""
    for item in records:
        yield _assignment(item["pk"]["S"].partition(" ")[2], item)
