"""Batches that have found what they looked for: their other jobs are not wanted any more.

Each has an item that says why, which claims look at, and for as long as jobs of it may be left one
that the sweep finds it by.
"""

from __future__ import annotations

import time

from shoal.aws.items import number, text
from shoal.aws.table import Refused, Table
from shoal.core.lifecycle import StopBatch


class Stops:
    """The items of the batches that are stopped.

    Args:
        records: the table they are in.
        queue: the queue of the batches; others have batches of their own.
    """

    def __init__(self, records: Table, queue: str) -> None:
        self._records = records
        self._queue = queue
        self._unfinished = f"stopping {queue}"

    def begin(self, stop: StopBatch) -> bool:
        """Let no job of a batch be claimed that stops with it; whether that is new."""
        reason = text(stop.reason)
        try:
            self._records.put(
                {**self._records.key(*self._stopped(stop.batch)), "reason": reason},
                unless_there=True,
            )
        except Refused:
            is_new = False
        else:
            is_new = True
        self._records.put(
            {
                **self._records.key(self._unfinished, stop.batch),
                "reason": reason,
                "begun_at": number(time.time()),
            }
        )
        return is_new

    def reason(self, batch: str) -> str | None:
        """Why a batch is stopped; None: it is not."""
        item = self._records.get(*self._stopped(batch))
        return None if item is None else str(item["reason"]["S"])

    def unfinished(self, begun_before: float) -> list[StopBatch]:
        """Batches of which jobs may be left, that were stopped before a time."""
        found = self._records.query("pk = :pk", {":pk": text(self._unfinished)})
        return [
            StopBatch(item["sk"]["S"], item["reason"]["S"])
            for item in found
            if float(item["begun_at"]["N"]) < begun_before
        ]

    def finish(self, batch: str) -> None:
        """Note that no job of a batch is left."""
        self._records.delete(self._unfinished, batch)

    def _stopped(self, batch: str) -> tuple[str, str]:
        return f"stopped {self._queue} {batch}", "-"
