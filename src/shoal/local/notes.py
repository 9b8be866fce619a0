"""Notes in the file of the store, each write a small transaction of its own."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from shoal.core.errors import EnvironmentBusy
from shoal.local import schema
from shoal.local.fleet import lock_file
from shoal.local.layout import Layout
from shoal.ports import Beat, no_beat

_WRITE = "INSERT INTO note VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"


class SqliteNotes:
    """A `client_ports.Notes`. It keeps nothing open, so threads may share it.

    Args:
        layout: of the environment.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def read(self, topic: str) -> dict[str, str]:
        with self._connected() as connection:
            query = "SELECT key, value FROM note WHERE topic = ? ORDER BY key"
            return dict(connection.execute(query, (topic,)).fetchall())

    def write(self, topic: str, key: str, value: str | None) -> None:
        with self._connected() as connection:
            if value is None:
                connection.execute("DELETE FROM note WHERE topic = ? AND key = ?", (topic, key))
            else:
                connection.execute(_WRITE, (topic, key, value))

    def write_once(self, topic: str, key: str, value: str) -> str:
        with self._connected() as connection:
            connection.execute("INSERT OR IGNORE INTO note VALUES (?, ?, ?)", (topic, key, value))
        return self.read(topic)[key]

    @contextmanager
    def hold(self, topic: str) -> Iterator[Beat]:
        digest = hashlib.blake2b(topic.encode(), digest_size=8).hexdigest()
        try:
            fd = lock_file(self._layout.own / f"topic-{digest}.lock", wait=False)
        except BlockingIOError:
            raise EnvironmentBusy(
                f"somebody else does this for {self._layout.root} already",
                "leave it to them, or end them first",
            ) from None
        try:
            yield no_beat
        finally:
            os.close(fd)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with schema.readable_errors(self._layout.database):
            connection = schema.connect(self._layout.database, create=False)
            try:
                yield connection
            finally:
                connection.close()
