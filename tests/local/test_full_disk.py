"""A disk that is full, or can't be written: errors say so, and nothing accepted is lost."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.core.job import Status

from .mounts import mounted, remount
from .place import Place, wait_until
from .test_damage import VERBS
from .verbs import run_verb

SUCCESSFUL = Status.SUCCESSFUL
FREE_SPACE = "free some disk space"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Place]:
    """A place on a small disk, with one job waiting."""
    with mounted(tmp_path / "disk", "tmpfs", "mode=0755,size=8m") as disk:
        place = Place(disk / "jobs")
        place.submit({"job_id": "first", "commands": ["echo first"]})
        yield place
        place.clear()


def fill(place: Place) -> Path:
    """Use up all the room; removing what is returned gives it back."""
    filler = place.root / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError:
            pass
    return filler


def read_until(worker: subprocess.Popen[str], words: str) -> None:
    """Wait until a process has said something on standard error."""
    assert worker.stderr is not None
    fd = worker.stderr.fileno()
    os.set_blocking(fd, False)
    said = ""

    def has_said() -> bool:
        nonlocal said
        try:
            said += os.read(fd, 65_536).decode()
        except BlockingIOError:
            pass
        assert worker.poll() is None, said
        return words in said

    wait_until(has_said)


def test_each_verb_says_that_the_disk_is_full(small: Place) -> None:
    """On a full disk verbs end with exit code 3 and the remedy; with room again all is there."""
    filler = fill(small)
    for verb in VERBS:
        said = run_verb(small, *(part.format(elsewhere=small.root / "x") for part in verb))
        assert (said.code, said.out) == (3, ""), (verb, said)
        assert FREE_SPACE in said.err, (verb, said)
    up = small.shoal("up", small.root, "--until-idle")
    assert (up.returncode, FREE_SPACE in up.stderr) == (3, True), up.stderr
    filler.unlink()
    small.up()
    assert small.statuses() == {"first": SUCCESSFUL}


def test_a_new_environment_on_a_full_disk(small: Place) -> None:
    """A folder can't become an environment without room for it, and says so."""
    filler = fill(small)
    done = small.shoal("submit", "-e", small.root / "new", "--command", "echo")
    assert done.returncode == 3, done.stderr
    assert "space" in done.stderr
    assert "Traceback" not in done.stderr
    filler.unlink()
    done = small.shoal("submit", "-e", small.root / "new", "--command", "echo")
    assert done.returncode == 0, done.stderr


def test_a_bulk_submission_that_runs_out_of_room(small: Place) -> None:
    """What was accepted before the disk was full stays accepted; the error says what to do."""
    lines = (
        json.dumps({"job_id": f"job-{number:06}", "commands": [f"echo {'x' * 50}"]})
        for number in range(60_000)
    )
    done = small.shoal("submit", "--file", "-", stdin="\n".join(lines))
    assert done.returncode == 3
    assert FREE_SPACE in done.stderr
    assert "Traceback" not in done.stderr
    remount(small.root.parent, "size=64m")
    assert small.job("first").status == Status.QUEUED
    with small.client() as client:
        assert client.counts().total % 10_000 == 1  # whole transactions, or none
        client.submit({"job_id": "after", "commands": ["echo"]})
    assert small.job("after").status == Status.QUEUED


def test_an_attempt_that_fills_the_disk_is_recorded_when_there_is_room(small: Place) -> None:
    """A worker that can't record how an attempt ended waits for room, and then records it once."""
    fills = "cat /dev/zero > $SHOAL_ENV/filler 2>/dev/null; true"
    small.submit(
        {"job_id": "good", "commands": [fills], "priority": 2},
        {"job_id": "bad", "commands": [fills, "exit 7"], "priority": 1},
    )
    worker = small.start_worker()
    read_until(worker, "trying again")
    assert not list(small.root.rglob("*.shoal-part"))
    (small.root / "filler").unlink()
    read_until(worker, "trying again")
    (small.root / "filler").unlink()
    _, said = worker.communicate()
    assert worker.returncode == 0, said
    ends = [(event.job_id, event.status, event.reason) for event in small.events()]
    assert ends == [
        ("good", SUCCESSFUL, "confirmed"),
        ("bad", Status.FAILED, "exit code 7"),
        ("first", SUCCESSFUL, "confirmed"),
    ]
    assert all(len(small.attempts(job_id)) == 1 for job_id in ("good", "bad", "first"))


def test_results_that_do_not_fit_are_not_half_there(small: Place) -> None:
    """A job whose folder does not fit on the disk is given back, and runs when there is room."""
    small.put("job/data", os.urandom(2_400_000))
    small.put("job/run.sh", "cp data result")
    small.submit_folder("job", priority=1)
    filler = small.root / "filler"
    filler.write_bytes(bytes(4_500_000))
    small.work()
    assert small.job("job/run.sh").status == Status.QUEUED
    assert "No space left" in small.reason("job/run.sh")
    assert not (small.root / "job/result").exists()
    filler.unlink()
    small.up()
    assert small.job("job/run.sh").status == SUCCESSFUL
    assert (small.root / "job/result").read_bytes() == (small.root / "job/data").read_bytes()


def test_a_worker_that_starts_on_a_full_disk_loses_nothing(small: Place) -> None:
    """A worker that can't even claim leaves; the job is untouched."""
    filler = fill(small)
    worker = small.start_worker()
    _, said = worker.communicate()
    assert worker.returncode != 0
    assert "space" in said
    filler.unlink()
    assert small.job("first").attempt == 0
    small.work()
    assert small.statuses() == {"first": SUCCESSFUL}


def test_each_verb_says_that_the_folder_is_read_only(small: Place) -> None:
    """In a folder that can't be written verbs end with exit code 3 and the remedy."""
    remount(small.root.parent, "ro")
    for verb in VERBS:
        said = run_verb(small, *(part.format(elsewhere=small.root / "x") for part in verb))
        assert (said.code, said.out) == (3, ""), (verb, said)
        assert "check its permissions" in said.err
    up = small.shoal("up", small.root)
    assert (up.returncode, "check its permissions" in up.stderr) == (3, True), up.stderr
    up = small.shoal("up", small.root / "new")
    assert (up.returncode, "folder that you may write to" in up.stderr) == (3, True), up.stderr
    remount(small.root.parent, "rw")
    small.up()
    assert small.statuses() == {"first": SUCCESSFUL}
