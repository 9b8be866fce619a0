"""Settings: the one place for defaults, and where each value in force came from.

Defaults are overridden by `.shoal/shoal.toml`, that by `SHOAL_...` variables, those by flags.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from shoal.core.errors import SettingsError
from shoal.core.intake import IntakeRules

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1e9)]

FILE_NAME = "shoal.toml"
PREFIX = "SHOAL_"


class Next(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the results of Successful jobs go on: they become job folders there.

    Args:
        environment: a folder, relative to this environment's; or `aws:STACK[@REGION]`.
        executable: the file that is put in last and started there; relative to the folder of
            the settings file.
        files: globs over the paths of a job folder's files: these are passed on.
    """

    environment: Annotated[str, msgspec.Meta(min_length=1)]
    executable: Annotated[str, msgspec.Meta(min_length=1)]
    files: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1)], ...], msgspec.Meta(min_length=1)
    ] = ("*",)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set for an environment. Times in seconds.

    Args:
        trigger_suffix: an uploaded file that ends in one of these is an executable.
        max_workers: the most workers at a time; 0 is one a core.
        retry: retries of jobs that come as folders.
        job_success_string: success string of jobs that come as folders; blank accepts any output.
        timeout_s: how long an attempt may run when its job does not say; 0 is without limit.
        grace_s: time between asking an attempt to end and killing it.
        linger_s: how long an idle worker waits for a job before it leaves.
        lease_s: how long a claim lasts; renewed at a third of it, so two lost beats are survivable.
        backoff_base_s: wait before the first retry; it doubles with each.
        backoff_max_s: the longest wait before a retry.
        max_interruptions: interruptions of a run after which it fails, so that a job which
            brings every worker down does not go round for ever.
        upload_quiet_s: an upload of which the end could not be seen counts as complete when it
            has not changed for this long.
    """

    trigger_suffix: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = (".sh",)
    max_workers: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    retry: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 0
    job_success_string: str = " "
    timeout_s: NotNegative = 0.0
    grace_s: NotNegative = 5.0
    linger_s: NotNegative = 5.0
    lease_s: Annotated[float, msgspec.Meta(ge=1, le=1e6)] = 60.0
    backoff_base_s: NotNegative = 1.0
    backoff_max_s: Positive = 60.0
    max_interruptions: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 20
    upload_quiet_s: Positive = 1.0
    next: Next | None = None

    @property
    def worker_limit(self) -> int:
        """The most workers at a time."""
        return self.max_workers or os.cpu_count() or 1

    @property
    def intake_rules(self) -> IntakeRules:
        """What intake needs of them."""
        return IntakeRules(self.trigger_suffix, self.retry, self.job_success_string)


NAMES = Settings.__struct_fields__


class Loaded(msgspec.Struct, frozen=True):
    """Settings, and for each name the place its value came from."""

    settings: Settings
    sources: dict[str, str]


def load(file: Path, variables: Mapping[str, str], flags: Mapping[str, object]) -> Loaded:
    """Put settings together.

    Args:
        file: the settings file; it may be missing.
        variables: environment variables, of which `SHOAL_<NAME>` count; `next` has none, as one
            would reach every environment of a pipeline.
        flags: values from the command line; None is not given.

    Raises:
        SettingsError: a name that is unknown, or a value that makes no sense, and where it stands.
    """
    values: dict[str, Any] = {}
    sources = dict.fromkeys(NAMES, "default")
    from_variables = {
        name: _plain(name, variables[PREFIX + name.upper()])
        for name in NAMES
        if name != "next" and PREFIX + name.upper() in variables
    }
    given = {name: value for name, value in flags.items() if value is not None}
    for source, found in (
        (str(file), _read_file(file)),
        ("environment variable", from_variables),
        ("flag", given),
    ):
        for name, value in found.items():
            _check(source, name, value)
            values[name] = value
            sources[name] = source
    return Loaded(msgspec.convert(values, Settings, strict=False), sources)


def _read_file(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file} is not valid TOML ({error})", "mend that line") from None
    except OSError as error:
        raise SettingsError(
            f"{file} can't be read ({error.strerror})", "mend or remove it"
        ) from None


def _plain(name: str, text: str) -> object:
    return tuple(text.split(",")) if name == "trigger_suffix" else text


def _check(source: str, name: str, value: object) -> None:
    if name not in NAMES:
        raise SettingsError(f"{source}: unknown setting {name!r}", f"known are {', '.join(NAMES)}")
    try:
        msgspec.convert({name: value}, Settings, strict=False)
    except msgspec.ValidationError as error:
        remedy = "'shoal config' shows what is in force"
        if name == "next":
            remedy = f"[next] has {', '.join(Next.__struct_fields__)}"
        raise SettingsError(f"{source}: {name} can't be {value!r} ({error})", remedy) from None
