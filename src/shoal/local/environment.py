"""A folder as an environment. What only clients need is imported when they ask for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shoal.core.intake import IntakeRules
from shoal.local.bells import WATCH, Bells
from shoal.local.bucket import LocalBucket
from shoal.local.fleet import LocalFleet, is_locked
from shoal.local.layout import Layout
from shoal.local.store import SqliteStore
from shoal.ports import Worker
from shoal.settings import Loaded, Settings

if TYPE_CHECKING:
    from shoal.client_ports import WaitForChange
    from shoal.local.doctor import LocalDoctor
    from shoal.local.folders import LocalFolders
    from shoal.local.logs import LocalLogs
    from shoal.local.notes import SqliteNotes

LOOK_EVERY_S = 2.0
"""How often a waiting client looks although no bell rang."""


@dataclass(frozen=True)
class LocalEnvironment:
    """A `client_ports.Environment`, with the ports that work on its folder."""

    name: str
    layout: Layout
    loaded: Loaded
    bells: Bells
    store: SqliteStore
    bucket: LocalBucket
    fleet: LocalFleet

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.loaded.settings

    @property
    def intake_rules(self) -> IntakeRules:
        return self.settings.intake_rules

    @property
    def folders(self) -> LocalFolders:
        from shoal.local.folders import LocalFolders

        return LocalFolders(self.bucket, self.store, self.intake_rules)

    @property
    def logs(self) -> LocalLogs:
        from shoal.local.logs import LocalLogs

        return LocalLogs(self.layout)

    @property
    def notes(self) -> SqliteNotes:
        from shoal.local.notes import SqliteNotes

        return SqliteNotes(self.layout)

    @property
    def lag_s(self) -> float:
        """Its lists are exact."""
        return 0.0

    def workers(self) -> list[Worker]:
        return self.fleet.workers()

    def is_supervised(self) -> bool:
        return is_locked(self.layout.supervisor_lock)

    @contextmanager
    def changes(self) -> Iterator[WaitForChange]:
        with self.bells.hang(WATCH, f"{os.getpid()}-{os.urandom(4).hex()}") as bell:
            yield lambda at_most_s: bell.wait(
                LOOK_EVERY_S if at_most_s is None else min(at_most_s, LOOK_EVERY_S)
            )

    def doctor(self) -> LocalDoctor:
        from shoal.local.doctor import LocalDoctor

        return LocalDoctor(self.layout, self.settings, self.store, self.bucket, self.fleet)

    def again(self) -> LocalEnvironment:
        """The same with a store of its own, for another thread."""
        bells = Bells(self.layout.bells)
        store = SqliteStore(self.layout.database, bells, create=False)
        return replace(self, bells=bells, store=store)

    def close(self) -> None:
        self.store.close()
