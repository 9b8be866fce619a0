"""A power cut at any moment of a submission, and of a worker's work."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import shoal
from shoal.local.layout import Layout

from . import submit_child
from .audit import Table, finish_all, opened, read_consistent
from .disk import Call, Disk, renamed, trace, why_no_trace

pytestmark = pytest.mark.skipif(why_no_trace() is not None, reason=str(why_no_trace()))

SEED = 20_240_602
Write = Callable[[Disk, Path], None]
SHOAL = [sys.executable, "-P", "-m", "shoal.cli.main"]
CHANCE = random.Random(SEED)
ALL, SOME, NOTHING = "all that was not synced", "some that was not synced", "nothing"
LOSSES: dict[str, Write] = {
    ALL: Disk.write_synced,
    SOME: lambda disk, target: disk.write_some(target, CHANCE),
    NOTHING: Disk.write_all,
}


def variables(**settings: object) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("SHOAL_")}
    return kept | {f"SHOAL_{name.upper()}": str(value) for name, value in settings.items()}


def database(root: Path) -> Path:
    return Layout(root / "environment").database


@contextmanager
def cut(disk: Disk, write: Write, target: Path) -> Iterator[Table]:
    """The job table that a cut leaves, read after opening the environment as everybody does."""
    write(disk, target)
    shoal.connect(target / "environment").close()
    yield read_consistent(database(target))
    shutil.rmtree(target)


def is_answer(call: Call) -> bool:
    """Whether a call says something to whoever has started the process."""
    return call.name == "write" and call.arguments[0].startswith(b"pipe:")


@pytest.mark.parametrize("loss", LOSSES)
def test_an_acknowledged_submission_survives(tmp_path: Path, loss: str) -> None:
    """Whenever the power is cut, what was acknowledged before is there, and no half of a job."""
    disk = Disk(new_folder(tmp_path / "root"))
    command = [sys.executable, submit_child.__file__, str(tmp_path / "root" / "environment")]
    chance = random.Random(SEED)
    acknowledged = 0
    for call in trace(command, tmp_path / "trace", variables()):
        disk.follow(call)
        if is_answer(call):
            acknowledged = int(call.arguments[1])
        elif call.name == "openat" or chance.random() < 0.7:
            continue
        with cut(disk, LOSSES[loss], tmp_path / "cut") as table:
            assert {f"job-{number}" for number in range(acknowledged)} <= table.jobs.keys()
    assert acknowledged == submit_child.SINGLE + submit_child.BULK + 1


def test_the_answer_to_a_job_folder_comes_when_all_of_it_is_on_disk(tmp_path: Path) -> None:
    """When `shoal submit FOLDER` answers, the folder's copy and its job survive a power cut."""
    disk = Disk(new_folder(tmp_path / "root"))
    folder = new_folder(tmp_path / "corner" / "inputs").parent
    (folder / "run.sh").write_text("cat inputs/*\n")
    (folder / "inputs" / "netlist").write_text("R1 1 0 50\n")
    submit = ["submit", "-e", str(tmp_path / "root" / "environment"), str(folder)]
    answers = 0
    for call in trace([*SHOAL, *submit], tmp_path / "trace", variables()):
        disk.follow(call)
        if is_answer(call):
            answers += 1
            with cut(disk, Disk.write_synced, tmp_path / "cut") as table:
                assert table.jobs.keys() == {"corner/run.sh"}
                copy = tmp_path / "cut" / "environment" / "corner"
                assert (copy / "run.sh").read_text() == "cat inputs/*\n"
                assert (copy / "inputs" / "netlist").read_text() == "R1 1 0 50\n"
    assert answers > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_lost_settlements_are_work_to_do_again(tmp_path: Path, loss: str) -> None:
    """Whenever the power is cut under a worker, each job is there, and can be settled once."""
    disk, calls = trace_worker(tmp_path)
    chance = random.Random(SEED)
    for number, call in enumerate(calls):
        disk.follow(call)
        is_last = number == len(calls) - 1
        if not is_last and (call.name == "openat" or chance.random() < 0.8):
            continue
        with cut(disk, LOSSES[loss], tmp_path / "cut") as table:
            assert table.jobs.keys() == JOBS
            settled = sum(len(runs) for runs in table.settled.values())
            for job_id in FOLDER_JOBS:
                if table.jobs[job_id].status == "Successful":
                    result = (tmp_path / "cut" / "environment" / job_id).with_name("out.txt")
                    assert result.read_text() == "1\n"
            finished = finish_all(database(tmp_path / "cut"))
            assert all(len(runs) == 1 for runs in finished.settled.values())
    # A settlement is not synced, so the last one was lost; else this would have tested nothing.
    if loss == ALL:
        assert settled < len(JOBS)
    elif loss == NOTHING:
        assert settled == len(JOBS)


def test_results_are_recorded_before_they_are_brought_out(tmp_path: Path) -> None:
    """No result is moved to its job folder before its record and its content are on disk."""
    disk, calls = trace_worker(tmp_path)
    moved: list[str] = []
    for call in calls:
        if call.name.startswith("rename"):
            source, target = renamed(call)
            key = os.path.relpath(target, tmp_path / "root" / "environment")
            if key.startswith("folder-"):
                assert disk.is_synced(source)
                with (
                    cut(disk, Disk.write_synced, tmp_path / "cut"),
                    opened(database(tmp_path / "cut")) as connection,
                ):
                    keys = {row[0] for row in connection.execute("SELECT key FROM result")}
                assert key in keys
                moved.append(key)
        disk.follow(call)
    assert sorted(moved) == sorted(
        f"folder-{number}/{name}" for number in range(FOLDERS) for name in ("out.txt", "out.sh")
    )


FOLDERS = 3
FOLDER_JOBS = {f"folder-{number}/run.sh" for number in range(FOLDERS)}
DIRECT_JOBS = {f"direct-{number}" for number in range(6)}
JOBS = FOLDER_JOBS | DIRECT_JOBS


def trace_worker(root: Path) -> tuple[Disk, list[Call]]:
    """The disk as one worker finds it, and the calls that it makes to do all there is to do."""
    environment = new_folder(root / "root") / "environment"
    with shoal.connect(environment) as client:
        for name in sorted(DIRECT_JOBS):
            fails = name == "direct-1"
            client.submit({"job_id": name, "commands": ["false" if fails else "true"], "retry": 1})
        for job_id in sorted(FOLDER_JOBS):
            executable = environment / job_id
            executable.parent.mkdir()
            executable.write_text("echo 1 > out.txt\necho exit 3 > out.sh\n")
            client.submit_folder(executable.parent)
    disk = Disk(root / "root")
    command = [sys.executable, "-P", "-m", "shoal.cli.worker", str(environment), "w-1"]
    settings = variables(linger_s=0.5, backoff_base_s=0.01)
    # Somebody else has the store open, so that the worker is not the last, which folds the log in.
    with shoal.connect(environment):
        return disk, trace(command, root / "trace", settings)


def new_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path
