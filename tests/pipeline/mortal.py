"""Passes on, and dies before the n-th thing that it does to a disk; then goes on.

    python mortal.py FOLDER

Life n is a process of its own, on copies of FOLDER/first and FOLDER/second in FOLDER/n. It kills
itself before its n-th change: a file opened for writing, renamed, made or removed, or a
transaction. The last life has fewer changes than that and ends by itself.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from shoal.environment import open_local
from shoal.local import schema
from shoal.pipeline import passing
from shoal.pipeline.passing import Pipeline
from shoal.pipeline.route import declared_route

CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link")
WRITES = ("INSERT", "UPDATE", "DELETE")


class Fate:
    """Counts changes, and ends the process at one of them."""

    def __init__(self, fatal: int) -> None:
        self._fatal = fatal
        self.changes = 0

    def change(self) -> None:
        self.changes += 1
        if self.changes == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook."""
        if event == "open":
            path, _, flags = arguments
            assert isinstance(flags, int)
            if flags & (os.O_WRONLY | os.O_RDWR) and "bells" not in str(path):
                self.change()
        elif event in CHANGES:
            self.change()

    def trace(self, connection: sqlite3.Connection, statement: str) -> None:
        """A statement about to be run: it is a change by itself, or its commit is."""
        is_alone = statement.startswith(WRITES) and not connection.in_transaction
        if is_alone or statement == "COMMIT":
            self.change()


def live(root: Path, fatal: int) -> None:
    """Pass on what is in `first`, and die on the way."""
    fate = Fate(fatal)
    connect = schema.connect

    def traced(path: Path, *, create: bool) -> sqlite3.Connection:
        connection = connect(path, create=create)
        connection.set_trace_callback(lambda statement: fate.trace(connection, statement))
        return connection

    schema.connect = traced
    passing.GROUP = 2  # so that there is more than one
    sys.addaudithook(fate.hear)
    route = declared_route(str(root / "first"))
    assert route is not None
    with closing(open_local(str(root / "first"))) as source:
        Pipeline(source, route, lambda text: None).pass_on()


def main() -> None:
    folder = Path(sys.argv[1])
    for fatal in itertools.count(1):
        root = folder / str(fatal)
        root.mkdir()
        for name in ("first", "second"):
            shutil.copytree(folder / name, root / name, symlinks=True)
        child = os.fork()
        if child == 0:
            live(root, fatal)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            return
        if code != -signal.SIGKILL:
            sys.exit(code)


if __name__ == "__main__":
    main()
