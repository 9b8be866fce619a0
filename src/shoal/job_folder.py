"""A job folder as it lies on this machine: which files in it are to start jobs, and which can't."""

from __future__ import annotations

import os
import stat

from shoal.core.errors import BucketError
from shoal.core.intake import IntakeRules, is_executable


def find_executables(folder: str, rules: IntakeRules) -> list[str]:
    """The names of the executables of a job folder, at least one.

    Raises:
        BucketError: it is no folder, holds none, or one of them can't start anything.
    """
    if not os.path.isdir(folder):
        raise BucketError(f"{folder!r} is not a folder", "name a job folder")
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name for entry in entries if is_executable(entry.name, rules) and entry.is_file()
        )
    if not names:
        raise no_executable(folder, rules)
    for name in names:
        if problem := problem_with(os.path.join(folder, name)):
            raise BucketError(
                f"executable {name!a} {problem}", "put a file that holds something in its place"
            )
    return names


def no_executable(folder: str, rules: IntakeRules) -> BucketError:
    """The error for a job folder in which nothing is to start."""
    return BucketError(
        f"{folder!r} holds no executable (a file ending in {' or '.join(rules.trigger_suffixes)})",
        "add one, or set trigger_suffix in .shoal/shoal.toml (of a stack, TriggerSuffix)",
    )


def problem_with(path: str) -> str | None:
    """Why a file that is to start a job can't, or None."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return "is gone again"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    if stat.S_ISLNK(status.st_mode):
        return "is a link"
    if not stat.S_ISREG(status.st_mode):
        return "is not a plain file"
    if status.st_size == 0:
        return "is empty"
    return None
