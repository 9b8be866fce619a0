"""The huey instance and its one task, imported by the driver and by huey's consumer."""

import subprocess
from importlib import import_module  # the peer's package is not installed where types are checked

# 30 s: eight workers and a submitter may queue for the one write lock.
HUEY = import_module("huey").SqliteHuey("bench", filename="huey.db", fsync=True, timeout=30)


def run_command(command: str) -> tuple[int, bytes]:
    """Run `command` by sh; the exit code and the output become the stored result."""
    done = subprocess.run(
        ["sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout


run_task = HUEY.task()(run_command)
