"""Where results go on, as settings declare it; and ways that lead nowhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from shoal.core.errors import EnvironmentMissing, SettingsError
from shoal.environment import find_local, is_cloud


class Route(NamedTuple):
    """Where results go on.

    Args:
        environment: what opens it; of a folder the absolute path.
        executable: the file to start there.
        files: globs over the paths in a job folder.
    """

    environment: str
    executable: Path
    files: tuple[str, ...]


def declared_route(name: str) -> Route | None:
    """Where the settings of a folder say that its results go on; None: nowhere.

    Raises:
        SettingsError: a setting makes no sense.
    """
    layout, loaded = find_local(name)
    declared = loaded.settings.next
    if declared is None:
        return None
    to = declared.environment
    if not is_cloud(to):
        to = os.path.abspath(layout.root / to)
    return Route(to, layout.own / declared.executable, declared.files)


def check_way(source: str, target: str) -> None:
    """See that the results of an environment can go on to another one.

    Args:
        source, target: their names.

    Raises:
        EnvironmentMissing: the other is no folder.
        SettingsError: they would come back, or one environment lies in the other.
    """
    if is_cloud(target):
        if source == target:
            raise _cycle([source, target])
        return
    if not os.path.isdir(target):
        raise EnvironmentMissing(
            f"the next environment {target} is not there", "make that folder, or mend [next]"
        )
    if is_cloud(source):
        return
    _refuse_cycle(source, target)
    inner, outer = os.path.realpath(source), os.path.realpath(target)
    if os.path.commonpath((inner, outer)) in (inner, outer):
        raise SettingsError(
            f"of {source} and the next environment {target} one lies in the other",
            "put them side by side, or one would take the other's job folders for its own",
        )


def _refuse_cycle(source: str, target: str) -> None:
    """Follow what is declared from folder to folder."""
    way, name = [os.path.realpath(source)], target
    while not is_cloud(name):
        way.append(os.path.realpath(name))
        if way[-1] in way[:-1]:
            raise _cycle(way)
        route = declared_route(name)
        if route is None:
            return
        name = route.environment


def _cycle(way: list[str]) -> SettingsError:
    return SettingsError(
        f"results would go round for ever: {' -> '.join(way)}",
        "let [next] of one of them lead on, or take it out",
    )
