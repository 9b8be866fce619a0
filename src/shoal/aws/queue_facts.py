"""What a fleet says of its queue, for the scheduler that serves it: its bucket, its defaults."""

from __future__ import annotations

from typing import Any

from shoal.aws.items import number, text
from shoal.aws.runner import FleetFacts
from shoal.aws.table import Table

PARTITION = "queues"


class QueueFacts:
    """An item a queue.

    Args:
        dynamodb: a client.
        records: the name of the table.
    """

    def __init__(self, dynamodb: Any, records: str) -> None:
        self._records = Table(dynamodb, records, ("pk", "sk"))

    def queues(self) -> list[str]:
        """The queues that have, or had, workers."""
        found = self._records.query("pk = :pk", {":pk": text(PARTITION)})
        return [item["sk"]["S"] for item in found]

    def get(self, queue: str) -> FleetFacts | None:
        """What the fleet of a queue has said."""
        item = self._records.get(PARTITION, queue)
        if item is None or "bucket" not in item:
            return None
        return FleetFacts(
            item["bucket"]["S"], item["working_directory"]["S"], float(item["timeout_s"]["N"])
        )

    def enlist(self, queue: str) -> None:
        """Note that a queue has workers."""
        self._records.update((PARTITION, queue))

    def forget(self, queue: str) -> None:
        """Forget a queue that is there no more."""
        self._records.delete(PARTITION, queue)

    def say(self, queue: str, fleet: FleetFacts) -> None:
        """Note what the scheduler has to know of a fleet."""
        assert fleet.bucket is not None
        self._records.update(
            (PARTITION, queue),
            sets={
                "bucket": text(fleet.bucket),
                "working_directory": text(fleet.working_directory),
                "timeout_s": number(fleet.timeout_s),
            },
        )
