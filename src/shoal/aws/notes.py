"""Notes in the records table."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from shoal.aws.account import aws_errors
from shoal.aws.items import Item, number, text
from shoal.aws.table import Refused, Table
from shoal.core.errors import EnvironmentBusy
from shoal.ports import Beat

HOLD_S = 60.0
"""How long a hold lasts after its last beat; renewed at a third of it."""


class AwsNotes:
    """A `client_ports.Notes`.

    Args:
        records: the table they are in.
        queue: the queue of their environment; others have notes of their own.
    """

    def __init__(self, records: Table, queue: str) -> None:
        self._records = records
        self._queue = queue

    def read(self, topic: str) -> dict[str, str]:
        with aws_errors():
            found = self._records.query("pk = :pk", {":pk": text(self._partition(topic))})
            return {item["sk"]["S"]: item["value"]["S"] for item in found}

    def write(self, topic: str, key: str, value: str | None) -> None:
        with aws_errors():
            if value is None:
                self._records.delete(self._partition(topic), key)
            else:
                self._records.put(self._note(topic, key, value))

    def write_once(self, topic: str, key: str, value: str) -> str:
        with aws_errors():
            try:
                self._records.put(self._note(topic, key, value), unless_there=True)
            except Refused as refused:
                assert refused.item is not None
                return str(refused.item["value"]["S"])
        return value

    @contextmanager
    def hold(self, topic: str) -> Iterator[Beat]:
        hold = _Hold(self._records, (f"hold {self._queue} {topic}", "-"))
        hold.take()
        try:
            yield hold.beat
        finally:
            hold.give_back()

    def _partition(self, topic: str) -> str:
        return f"note {self._queue} {topic}"

    def _note(self, topic: str, key: str, value: str) -> Item:
        return {**self._records.key(self._partition(topic), key), "value": text(value)}


class _Hold:
    """An item that one of many may call its own for a while.

    Args:
        records: the table it is in.
        key: its key.
    """

    def __init__(self, records: Table, key: tuple[str, str]) -> None:
        self._records = records
        self._key = key
        self._me = text(uuid.uuid4().hex)
        self._renew_at = 0.0

    def take(self) -> None:
        """Take it. Raises EnvironmentBusy."""
        with aws_errors():
            found = self._records.get(*self._key) or {}
            if found and float(found["until"]["N"]) > time.time():
                raise _busy()
            expected = {name: found.get(name) for name in ("holder", "until")}
            try:
                self._set(time.time() + HOLD_S, expected)
            except Refused:
                raise _busy() from None

    def beat(self) -> None:
        """Keep it, also when its time was over but nobody took it. Raises EnvironmentBusy."""
        if time.monotonic() < self._renew_at:
            return
        with aws_errors():
            try:
                self._set(time.time() + HOLD_S, {"holder": self._me})
            except Refused:
                raise _busy() from None

    def give_back(self) -> None:
        """Let others take it at once."""
        with aws_errors():
            try:
                self._set(0.0, {"holder": self._me})
            except Refused:
                pass  # somebody has it already

    def _set(self, until: float, expected: dict[str, dict[str, str] | None]) -> None:
        self._records.update(
            self._key, sets={"holder": self._me, "until": number(until)}, expect=expected
        )
        self._renew_at = time.monotonic() + HOLD_S / 3


def _busy() -> EnvironmentBusy:
    return EnvironmentBusy(
        "somebody else does this for the stack already",
        "leave it to them; one that was killed is out of the way in a minute",
    )
