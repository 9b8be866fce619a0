"""The core is pure: it imports nothing that does I/O, tells the time or throws dice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import shoal.core

FILES = sorted(Path(shoal.core.__path__[0]).glob("**/*.py"))
ALLOWED = {
    *("__future__", "collections", "difflib", "enum", "fnmatch", "json", "msgspec", "re"),
    *("signal", "typing"),
}
"""`signal` for the names of signals alone; none of its functions is called."""
CALLS = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}


def impurities(source: str) -> Iterator[str]:
    """What a file has that the core must not have."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in CALLS:
                yield f"{node.func.id}()"
            continue
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith(
            ("signal.", "signals.")
        ):
            if ast.unparse(node.func) != "signals.Signals":
                yield ast.unparse(node.func)
            continue
        else:
            continue
        yield from (
            name
            for name in names
            if not name.startswith("shoal.core") and name.split(".")[0] not in ALLOWED
        )


def test_there_is_a_core_to_look_at() -> None:
    """The files of the core are found where they are expected."""
    assert {"spec.py", "job.py", "lifecycle.py", "confirm.py"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_core_does_no_io(file: Path) -> None:
    """No file of the core imports or calls anything that reaches outside of it."""
    assert [*impurities(file.read_text())] == []


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "import os.path as path",
        "from os import path",
        "import sqlite3, msgspec",
        "import time",
        "from random import random",
        "import boto3",
        "from shoal.local.store import SqliteStore",
        "from shoal import ports",
        "from . import spec",
        "def f():\n    import subprocess",
        "open('x')",
        "print('x')",
        "__import__('os')",
        "signals.signal(1, None)",
    ],
)
def test_an_impurity_is_found(line: str) -> None:
    """The look at the core would find what it looks for."""
    assert len([*impurities(line)]) == 1
