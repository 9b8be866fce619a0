"""Small file systems of a test's own, where this user may mount any."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, kind: str, options: str = "mode=0755") -> Iterator[Path]:
    """A fresh file system of a kind at a folder; skips the test where that is not allowed."""
    folder.mkdir()
    if sys.platform != "linux":
        pytest.skip("mounts are tried on Linux only")
    done = subprocess.run(
        ["mount", "-t", kind, "-o", options, "shoal-test", folder], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"can't mount a {kind} here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, options: str) -> None:
    """Change the options of a mount."""
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
