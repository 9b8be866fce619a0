"""`shoal` verbs run in this process: many of them in little time."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import NamedTuple

from shoal.cli.main import main

from .place import Place


class Said(NamedTuple):
    """How a verb ended, and what it said."""

    code: int
    out: str
    err: str


def run_verb(place: Place, *arguments: str) -> Said:
    """Run one verb on an environment, as `main` would; what `main` lets through is raised."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogateescape", newline="")
        for _ in range(2)
    )
    code: object = 0
    with redirect_stdout(out), redirect_stderr(err), _arguments(place, *arguments):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    for stream in (out, err):
        stream.seek(0)
    assert isinstance(code, int)
    return Said(code, out.read(), err.read())


@contextmanager
def _arguments(place: Place, verb: str, *rest: str) -> Iterator[None]:
    before = sys.argv
    sys.argv = ["shoal", verb, "-e", str(place.root), *rest]
    try:
        yield
    finally:
        sys.argv = before
