"""Clients for many threads: a client serves one at a time, so they are lent out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from shoal.client import Client
from shoal.core.errors import StoreError
from shoal.environment import is_cloud

KEPT = 4
"""Clients that wait for the next request; more are opened when more requests come at once."""

FRESH_S, FRESH_CLOUD_S = 2.0, 3600.0
"""How long one is used, of a folder and of a stack. An open file says nothing of its removal:
whoever looks for long must open it anew now and then."""


class Clients:
    """Lends out clients of one environment.

    Args:
        name: of the environment.
        connect: opens one.
    """

    def __init__(self, name: str, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._fresh_s = FRESH_CLOUD_S if is_cloud(name) else FRESH_S
        self._lock = Lock()
        self._free: list[tuple[Client, float]] = []

    @contextmanager
    def lend(self) -> Iterator[Client]:
        """A client that nobody else uses meanwhile.

        Raises:
            EnvironmentMissing, StoreError: the environment can't be opened.
        """
        client, opened_at = self._take()
        try:
            yield client
        except StoreError:
            client.close()
            raise
        except BaseException:
            self._give_back(client, opened_at)
            raise
        self._give_back(client, opened_at)

    def close(self) -> None:
        """Let go of those that nobody uses."""
        with self._lock:
            free, self._free = self._free, []
        for client, _ in free:
            client.close()

    def _take(self) -> tuple[Client, float]:
        now = time.monotonic()
        with self._lock:
            fresh = [(of, at) for of, at in self._free if now - at < self._fresh_s]
            old = [of for of, at in self._free if now - at >= self._fresh_s]
            self._free = fresh
            found = self._free.pop() if self._free else None
        for client in old:
            client.close()
        return found or (self._connect(), now)

    def _give_back(self, client: Client, opened_at: float) -> None:
        with self._lock:
            if len(self._free) < KEPT:
                self._free.append((client, opened_at))
                return
        client.close()
