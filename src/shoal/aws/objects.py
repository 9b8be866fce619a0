"""Objects of the bucket that start no job: each item says so of one version."""

from __future__ import annotations

import hashlib

from shoal.aws.items import Value, text
from shoal.aws.table import Table


class Objects:
    """The items of objects.

    Args:
        records: the table they are in.
        queue: the queue of their bucket; other buckets have keys of their own.
    """

    def __init__(self, records: Table, queue: str) -> None:
        self._records = records
        self._queue = queue

    def is_known(self, key: str, version: str) -> bool:
        """Whether this version of an object was noted."""
        return self._records.get(self._partition("object", key), version) is not None

    def disarm(self, key: str, version: str) -> None:
        """Note a version of an object."""
        self._records.put(self._object(key, version))

    def record(self, job_id: str, results: dict[str, str]) -> None:
        """Note what a job stages out."""
        made = self._partition("results", job_id)
        items = [self._object(key, version) for key, version in results.items()]
        items += [
            {**self._records.key(made, _digest(key)), "key": {"B": _bytes(key)}} for key in results
        ]
        self._records.put_many(items)

    def results(self, job_id: str) -> list[str]:
        """The keys that a job has staged out."""
        found = self._records.query("pk = :pk", {":pk": text(self._partition("results", job_id))})
        return [item["key"]["B"].decode(errors="surrogateescape") for item in found]

    def _object(self, key: str, version: str) -> dict[str, Value]:
        return {
            **self._records.key(self._partition("object", key), version),
            "key": {"B": _bytes(key)},
        }

    def _partition(self, kind: str, name: str) -> str:
        return f"{kind} {self._queue} {_digest(name)}"


def _bytes(key: str) -> bytes:
    return key.encode(errors="surrogateescape")


def _digest(key: str) -> str:
    """A key of the table holds less than a key of the bucket, and only valid text."""
    return hashlib.sha256(_bytes(key)).hexdigest()
