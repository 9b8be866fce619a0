"""The only wiring: an environment's name -> its ports; backends are imported only when asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.core.errors import SettingsError, ShoalError
from shoal.settings import Loaded, Settings, load

if TYPE_CHECKING:
    from shoal.local.bells import Bells
    from shoal.local.bucket import LocalBucket
    from shoal.local.fleet import LocalFleet
    from shoal.local.layout import Layout
    from shoal.local.store import SqliteStore

VARIABLE = "SHOAL_ENV"


class EnvironmentMissing(ShoalError):
    """The name does not lead to an environment."""

    code = "environment_missing"


@dataclass(frozen=True)
class LocalEnvironment:
    """A folder, with the ports that work on it."""

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

    def close(self) -> None:
        """Close the store."""
        self.store.close()


def open_environment(
    name: str | None = None,
    *,
    create: bool = False,
    synced: bool = True,
    flags: dict[str, object] | None = None,
) -> LocalEnvironment:
    """Open an environment.

    Args:
        name: a folder, or `aws:STACK[@REGION]`; None takes `SHOAL_ENV`, else the current folder.
        create: make the folder an environment when it is none yet.
        synced: whether every change is on disk before it is acknowledged.
        flags: settings that override all others.

    Raises:
        EnvironmentMissing: the folder is no environment.
        SettingsError: a setting makes no sense.
        StoreError: the store can't be used.
    """
    from shoal.local.bells import Bells
    from shoal.local.bucket import LocalBucket
    from shoal.local.fleet import LocalFleet
    from shoal.local.store import SqliteStore

    layout, loaded = find_environment(name, flags=flags)
    if not layout.exists:
        if not create:
            raise EnvironmentMissing(
                f"{layout.root} is not a Shoal environment yet",
                "'shoal up' or 'shoal submit' there makes it one; -e or SHOAL_ENV names another",
            )
        layout.create()
    bells = Bells(layout.bells)
    return LocalEnvironment(
        name=str(layout.root),
        layout=layout,
        loaded=loaded,
        bells=bells,
        store=SqliteStore(layout.database, bells, synced=synced, create=create),
        bucket=LocalBucket(layout.root),
        fleet=LocalFleet(layout),
    )


def find_environment(
    name: str | None = None, *, flags: dict[str, object] | None = None
) -> tuple[Layout, Loaded]:
    """An environment's paths and settings, without opening its store.

    Raises:
        EnvironmentMissing: this Shoal has no such kind of environment.
        SettingsError: a setting makes no sense.
    """
    from shoal.local.layout import Layout

    name = name or os.environ.get(VARIABLE) or "."
    if name.startswith("aws:"):
        raise EnvironmentMissing(
            f"{name}: this version of Shoal has no AWS environment", "name a folder"
        )
    layout = Layout(Path(os.path.abspath(name)))
    if layout.root.name == ".shoal":
        raise SettingsError(f"{layout.root} is Shoal's own folder", "name the folder above it")
    return layout, load(layout.settings, os.environ, flags or {})
