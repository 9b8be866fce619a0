"""The only wiring: an environment's name -> its ports; backends are imported only when asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.core.errors import EnvironmentMissing, SettingsError
from shoal.settings import Loaded, load

if TYPE_CHECKING:
    from shoal.client_ports import Configuration, Environment
    from shoal.local.environment import LocalEnvironment
    from shoal.local.layout import Layout

VARIABLE = "SHOAL_ENV"
CLOUD = "aws:"


def environment_name(name: str | None) -> str:
    """The name to use: the one given, else `SHOAL_ENV`, else the current folder."""
    return name or os.environ.get(VARIABLE) or "."


def is_cloud(name: str) -> bool:
    """Whether an environment's name is that of a stack."""
    return name.startswith(CLOUD)


def open_environment(name: str | None = None, *, create: bool = False) -> Environment:
    """Open an environment of any kind.

    Args:
        name: a folder, or `aws:STACK[@REGION]`; None takes `SHOAL_ENV`, else the current folder.
        create: make a folder an environment when it is none yet.

    Raises:
        EnvironmentMissing: there is no such environment.
        SettingsError: a setting makes no sense.
        StoreError: its store can't be used.
    """
    name = environment_name(name)
    if is_cloud(name):
        from shoal.aws.account import need_boto3

        need_boto3()
        from shoal.aws.environment import open_stack

        return open_stack(name.removeprefix(CLOUD))
    return open_local(name, create=create)


def open_local(
    name: str | None = None,
    *,
    create: bool = False,
    synced: bool = True,
    flags: dict[str, object] | None = None,
) -> LocalEnvironment:
    """Open a folder as an environment.

    Args:
        name: the folder; None takes `SHOAL_ENV`, else the current folder.
        create: make it an environment when it is none yet.
        synced: whether every change is on disk before it is acknowledged.
        flags: settings that override all others.

    Raises:
        EnvironmentMissing: the folder is no environment.
        SettingsError: a setting makes no sense.
        StoreError: the store can't be used.
    """
    from shoal.local.bells import Bells
    from shoal.local.bucket import LocalBucket
    from shoal.local.environment import LocalEnvironment
    from shoal.local.fleet import LocalFleet
    from shoal.local.store import SqliteStore

    layout, loaded = find_local(name, flags=flags)
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


def configuration(name: str | None = None) -> Configuration:
    """What is set for an environment, without opening its store.

    Raises:
        EnvironmentMissing: there is no such stack.
        SettingsError: a setting makes no sense.
    """
    import msgspec

    from shoal.client_ports import Configuration

    name = environment_name(name)
    if is_cloud(name):
        from shoal.aws.account import need_boto3

        need_boto3()
        from shoal.aws.environment import stack_configuration

        return stack_configuration(name.removeprefix(CLOUD))
    layout, loaded = find_local(name)
    values = msgspec.structs.asdict(loaded.settings)
    settings = {of: (value, loaded.sources[of]) for of, value in values.items()}
    if loaded.settings.next is not None:
        _, source = settings.pop("next")
        parts = msgspec.structs.asdict(loaded.settings.next)
        settings |= {f"next.{name}": (part, source) for name, part in parts.items()}
    return Configuration(str(layout.root), str(layout.settings), settings)


def find_local(
    name: str | None = None, *, flags: dict[str, object] | None = None
) -> tuple[Layout, Loaded]:
    """A folder's paths and settings, without opening its store.

    Raises:
        EnvironmentMissing: the name is that of a stack.
        SettingsError: a setting makes no sense.
    """
    from shoal.local.layout import Layout

    name = environment_name(name)
    if is_cloud(name):
        raise EnvironmentMissing(
            f"{name} is no folder, and its workers come and go by themselves",
            "use this with a folder: name one, or set SHOAL_ENV to one",
        )
    layout = Layout(Path(os.path.abspath(name)))
    if layout.root.name == ".shoal":
        raise SettingsError(f"{layout.root} is Shoal's own folder", "name the folder above it")
    return layout, load(layout.settings, os.environ, flags or {})
