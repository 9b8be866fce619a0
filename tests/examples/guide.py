"""Follows an example's README: types its commands in a copy of the examples, as a user would."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BIN = Path(sys.executable).parent


class Followed(NamedTuple):
    """The folder in which the commands were typed, and what they printed."""

    folder: Path
    out: str


def need(program: str, package: str) -> None:
    """Skip the test when a program isn't here."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: apt install {package}")


def follow(name: str, root: Path) -> Followed:
    """Type what the `sh` blocks of an example's README say, all of which must succeed.

    Args:
        name: the example's folder.
        root: an empty folder, for a copy of all examples.
    """
    shutil.copytree(EXAMPLES, root / "examples")
    folder = root / "examples" / name
    commands = re.findall(r"^```sh\n(.*?)^```$", (folder / "README.md").read_text(), re.S | re.M)
    assert commands
    out = type_in(folder, "\n".join(["set -euo pipefail", *commands]))
    return Followed(folder, out)


def type_in(folder: Path, script: str) -> str:
    """Run a script in a folder, with Shoal installed and short waits; return what it printed."""
    variables = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(folder),
        "SHOAL_LINGER_S": "0.2",
        "SHOAL_BACKOFF_BASE_S": "0.01",
    }
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
