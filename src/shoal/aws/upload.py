"""A job folder of this machine, as what is to be uploaded of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from shoal.core.errors import BucketError
from shoal.core.intake import IntakeRules, is_executable
from shoal.core.spec import check_key_path
from shoal.job_folder import find_executables

OWN = ".shoal"
"""A folder may be an environment itself; what is Shoal's own in it stays here."""


class Upload(NamedTuple):
    """A file and the key it goes to."""

    file: str
    key: str


class UploadPlan(NamedTuple):
    """All files of a job folder.

    Args:
        folder: its key in the bucket.
        inputs: what goes first.
        tools: inputs that end in the trigger suffix, but lie deeper: they start nothing.
        executables: what goes last, when all else is there.
    """

    folder: str
    inputs: list[Upload]
    tools: list[Upload]
    executables: list[Upload]


def plan_upload(path: str, rules: IntakeRules) -> UploadPlan:
    """Look at a job folder.

    Raises:
        BucketError: it is no job folder, or something in it can't be uploaded.
    """
    root = os.path.abspath(path)
    names = find_executables(root, rules)
    plan = UploadPlan(os.path.basename(root), [], [], [])
    for relative, file in _files(root):
        key = f"{plan.folder}/{relative}"
        if problem := check_key_path(key) or encoding_problem(key):
            raise BucketError(f"{file!a} {problem}", "rename it")
        upload = Upload(file, key)
        if relative in names:
            plan.executables.append(upload)
        elif is_executable(relative, rules):
            plan.tools.append(upload)
        else:
            plan.inputs.append(upload)
    return plan


def _files(root: str) -> Iterator[tuple[str, str]]:
    """All files below a folder, by relative path and by where their content is."""
    real_root = os.path.realpath(root)
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(os.path.join(root, prefix)) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                relative = prefix + entry.name
                if relative == OWN:
                    continue
                if entry.is_symlink():
                    yield relative, _linked_file(real_root, relative, entry.path)
                elif entry.is_dir():
                    pending.append(f"{relative}/")
                elif entry.is_file():
                    yield relative, entry.path
                # Sockets, pipes and devices hold nothing that could be copied.


def _linked_file(real_root: str, relative: str, path: str) -> str:
    """A bucket knows no links: the content goes in their place, when it is of this folder."""
    real = os.path.realpath(path)
    if not real.startswith(real_root + os.sep):
        raise BucketError(
            f"input {relative!a} is a link that leaves the job folder",
            "put a copy of the file in its place",
        )
    if not os.path.isfile(real):
        raise BucketError(
            f"input {relative!a} is a link to no file",
            "put a copy of what it is to be in its place",
        )
    return real


def encoding_problem(key: str) -> str | None:
    """Say what keeps a key from being one on S3, or None."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return "has a name that is not valid UTF-8"
    return None
