"""A passer that is killed before each change it makes to a disk; then another goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from shoal.core.job import Status

from . import mortal
from .step import Step

LEAST_CHANGES = 40
RUNS = {"a/next.sh": 2, "b/c/next.sh": 1}


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on no disk, where there is such a place: a kill takes away nothing of it either."""
    place = "/dev/shm"
    with TemporaryDirectory(dir=place if os.path.isdir(place) else None) as folder:
        yield Path(folder)


def test_a_kill_anywhere_loses_and_doubles_nothing(memory: Path) -> None:
    """After a kill anywhere and a new start, each run is accepted once, with all of its files.

    A job that was accepted before the kill may have run since: its files are not written over.
    """
    first, second = Step(memory / "first"), Step(memory / "second")
    first.lead(second, more='files = ["*", "*.sh"]')
    (first.layout.own / "next.sh").write_text("#!/bin/sh\n")
    for name in ("a", "b/c"):
        first.put(f"{name}/data", name)
        first.put(f"{name}/tools/deep/tool.sh", name)
        first.put(f"{name}/run.sh")
        first.end(name)
    first.put("bad/run.sh")  # nothing but the executable: it is held
    first.end("bad")
    first.put("a/run.sh", "again\n")
    first.end("a")
    subprocess.run([sys.executable, mortal.__file__, memory], check=True)

    lives = sorted(int(path.name) for path in memory.iterdir() if path.name.isdecimal())
    assert len(lives) > LEAST_CHANGES
    ways = set()
    for life in lives:
        first, second = (Step(memory / str(life) / name, new=False) for name in ("first", "second"))
        accepted = second.runs()
        ways.add(tuple(accepted.items()))
        for job_id in accepted:
            second.put(f"{job_id.rpartition('/')[0]}/data", "changed by the next job")
        first.pass_on()
        assert second.runs() == RUNS, life
        for name in ("a", "b/c"):
            was_over = accepted.get(f"{name}/next.sh") == RUNS[f"{name}/next.sh"]
            data = "changed by the next job" if was_over else name
            assert second.files(name) == {
                "data": data,
                "tools/deep/tool.sh": name,
                "next.sh": "#!/bin/sh\n",
            }, life
            assert second.job(f"{name}/next.sh").status is Status.QUEUED
        assert first.pass_on() == 0
        assert first.held() == ["bad/run.sh"], life
        assert second.armed() == [], life  # no executable waits to start a second job
    assert len(ways) == 3  # killed before the first submission, between the two, and after
