"""What is passed on, what is not, and how often."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from shoal.core.errors import EnvironmentBusy, EnvironmentMissing, ShoalError
from shoal.core.job import Status
from shoal.local.doctor import salvage
from shoal.pipeline.ledger import TOPIC, id_of

from .step import FAILED, Step, wait_until

Steps = tuple[Step, Step]


def test_the_files_of_a_successful_job_become_a_job_folder(steps: Steps) -> None:
    """Inputs and results come with their paths, times and modes; then the executable starts."""
    first, second = steps
    first.put("a/b/run.sh")
    first.put("a/b/in.txt", "in")
    tool = first.put("a/b/out/deep/tool", "out")
    tool.chmod(0o755)
    os.utime(tool, (1, 1))
    first.end("a/b")
    assert first.pass_on() == 1
    assert second.runs() == {"a/b/next.sh": 1}
    assert second.files("a/b") == {"in.txt": "in", "out/deep/tool": "out", "next.sh": "true\n"}
    status = (second.root / "a/b/out/deep/tool").stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o755, 1.0)
    assert first.pass_on() == 0
    assert (first.findings(), second.findings()) == ([], [])


def test_only_what_matches_is_passed_on(steps: Steps) -> None:
    """Globs go over the whole path; trigger files go only by a glob that ends like one."""
    first, second = steps
    first.lead(second, more='files = ["*.msh", "p?.json", "tools/*.sh"]')
    for name in ("run.sh", "a.msh", "deep/b.msh", "p1.json", "other", "x.sh", "tools/t.sh"):
        first.put(f"a/{name}")
    with first.client() as client:
        client.submit_folder(first.root / "a")
        first.end_next(client)
    assert first.pass_on() == 1
    assert {*second.files("a")} == {"a.msh", "deep/b.msh", "p1.json", "tools/t.sh", "next.sh"}
    assert second.findings() == []  # none of them waits to be taken in as a job


def test_every_file_but_executables_is_the_default(steps: Steps) -> None:
    """Without `files`, all goes on but the executable that ran, and others like it."""
    first, second = steps
    for name in ("run.sh", "made.sh", "deep/made.sh", "data"):
        first.put(f"a/{name}")
    with first.client() as client:
        client.submit({"job_id": "a", "folder": "a", "executable": "run.sh"})
        first.end_next(client)
    assert first.pass_on() == 1
    assert {*second.files("a")} == {"data", "next.sh"}


def test_only_successful_jobs_with_a_folder_go_on(steps: Steps) -> None:
    """Failed, cancelled, refused and direct jobs are none of the next environment's business."""
    first, second = steps
    for name in ("failed", "cancelled", "good"):
        first.put(f"{name}/run.sh")
        first.put(f"{name}/data")
    first.end("failed", outcome=FAILED)
    first.end("good")
    with first.client() as client:
        client.submit({"job_id": "direct", "commands": ["echo"]})
        first.end_next(client)
        client.submit_folder(first.root / "cancelled")
        client.cancel("cancelled/run.sh")
        client.environment.store.refuse("top.sh", "1", "no folder", time.time())
    assert first.pass_on() == 1
    assert second.runs() == {"good/next.sh": 1}


def test_a_job_that_needed_attempts_goes_on_once_and_again_when_it_runs_again(
    steps: Steps,
) -> None:
    """An attempt that failed passes nothing on; a new run is a new run of the next job, too."""
    first, second = steps
    first.put("a/run.sh")
    data = first.put("a/data", "1")
    first.end("a", outcome=FAILED, retry=1)
    assert first.pass_on() == 0
    with first.client() as client:
        first.end_next(client)
    assert first.pass_on() == 1
    data.write_text("2")
    first.put("a/run.sh", "new\n")
    first.end("a")
    with second.client() as client:
        second.end_next(client)
    assert first.pass_on() == 1
    assert second.runs() == {"a/next.sh": 2}
    assert second.files("a")["data"] == "2"
    assert second.job("a/next.sh").status is Status.QUEUED


def test_a_batch_stays_together(steps: Steps) -> None:
    """The next job is of the batch that its source job is of; a topmost folder is one, too."""
    first, second = steps
    for name in ("a", "b/c"):
        first.put(f"{name}/run.sh")
        first.put(f"{name}/data")
    first.end("a", batch="monday")
    first.end("b/c", batch=None)
    first.pass_on()
    assert second.job("a/next.sh").spec.batch == "monday"
    assert second.job("b/c/next.sh").spec.batch == first.job("b/c/run.sh").spec.batch


def test_the_next_environments_settings_are_its_jobs(steps: Steps) -> None:
    """Retries and success string are those of where the job runs."""
    first, second = steps
    with second.layout.settings.open("a") as settings:
        settings.write('retry = 3\njob_success_string = "meshed"\n')
    first.put("a/run.sh")
    first.put("a/data")
    first.end("a", retry=1)
    first.pass_on()
    spec = second.job("a/next.sh").spec
    assert (spec.retry, spec.job_success_string) == (3, "meshed")


def test_what_settled_before_it_was_declared_goes_on_too(step: Callable[[str], Step]) -> None:
    """A pipeline declared late passes on all from the beginning, and a further next all again."""
    first, second, third = step("first"), step("second"), step("third")
    first.put("a/run.sh")
    first.put("a/data")
    first.end("a")
    for to in (second, third, second):
        first.lead(to)
        first.pass_on()
    assert second.runs() == third.runs() == {"a/next.sh": 1}


def test_both_may_be_moved(steps: Steps, tmp_path: Path) -> None:
    """After the folders were moved nothing is passed on again; to one made anew, all is."""
    first, second = steps
    first.put("a/run.sh")
    first.put("a/data")
    first.end("a")
    first.pass_on()
    (tmp_path / "moved").mkdir()
    for one in steps:
        one.root.rename(tmp_path / "moved" / one.root.name)
    first, second = Step(tmp_path / "moved/first"), Step(tmp_path / "moved/second")
    first.lead(second)
    assert first.pass_on() == 0
    shutil.rmtree(second.layout.own)
    second = Step(second.root)
    first.put("b/run.sh")
    first.put("b/data")
    first.end("b")
    assert first.pass_on() == 2
    assert second.runs() == {"a/next.sh": 1, "b/next.sh": 1}


def test_a_lost_cursor_does_no_harm(steps: Steps) -> None:
    """Runs that the next store has accepted are not touched again, even from the beginning on."""
    first, second = steps
    for number in range(3):
        first.put(f"a/{number}/run.sh")
        first.put(f"a/{number}/data")
        first.end(f"a/{number}")
    first.pass_on()
    second.put("a/1/data", "changed by the next job")
    with second.client() as next_client, first.client() as client:
        key = f"{id_of(next_client.environment)} cursor"
        client.environment.notes.write(TOPIC, key, None)
    assert first.pass_on() == 0
    assert {*second.runs().values()} == {1}
    assert second.files("a/1")["data"] == "changed by the next job"


def test_a_store_that_lost_its_last_lines_passes_on_what_comes_after(steps: Steps) -> None:
    """What is saved of a damaged store goes on with numbers that nobody has read yet."""
    first, second = steps
    first.put("a/run.sh")
    first.put("a/data")
    first.end("a")
    assert first.pass_on() == 1
    with closing(sqlite3.connect(first.layout.database)) as database:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'settlement'"
        ((number,),) = database.execute(query).fetchall()
        ((size,),) = database.execute("PRAGMA page_size").fetchall()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with first.layout.database.open("r+b") as file:
        file.seek((number - 1) * size)
        file.write(bytes(size))
    _, saved = salvage(first.layout)
    assert saved == 1
    first.put("b/run.sh")
    first.put("b/data")
    first.end("b")
    assert first.pass_on() == 1
    assert second.runs() == {"a/next.sh": 1, "b/next.sh": 1}


def test_one_at_a_time(steps: Steps) -> None:
    """While one passes on, another is told so and leaves."""
    first, second = steps
    first.put("a/run.sh")
    first.put("a/data")
    first.end("a")
    with (
        second.client() as next_client,
        first.client() as client,
        client.environment.notes.hold(f"{TOPIC} {id_of(next_client.environment)}"),
        pytest.raises(EnvironmentBusy),
    ):
        first.pass_on()
    assert second.runs() == {}
    assert first.pass_on() == 1


def test_two_passers_beside_each_other(steps: Steps) -> None:
    """However two take turns, each run is accepted once."""
    first, second = steps
    over = threading.Event()
    problems: list[BaseException] = []

    def follow() -> None:
        try:
            with first.pipeline() as pipeline:
                pipeline.follow(over.is_set)
        except (ShoalError, OSError) as problem:
            problems.append(problem)

    threads = [threading.Thread(target=follow) for _ in range(2)]
    for thread in threads:
        thread.start()
    expected = {}
    for number in range(30):
        first.put(f"a/{number}/run.sh")
        first.put(f"a/{number}/data")
        first.end(f"a/{number}")
        expected[f"a/{number}/next.sh"] = 1
    wait_until(lambda: len(second.runs()) == len(expected) or problems)
    over.set()
    for thread in threads:
        thread.join()
    assert (problems, second.runs()) == ([], expected)
    passed = [int(line.split()[0]) for line in first.said if "passed on to" in line]
    assert sum(passed) == len(expected)


def test_an_environment_that_is_away_is_waited_for(steps: Steps) -> None:
    """What is in the way of all is said once, the doctor knows it, and it heals."""
    first, second = steps
    first.put("a/run.sh")
    first.put("a/data")
    first.end("a")
    away = second.root.with_name("away")
    second.root.rename(away)
    with pytest.raises(EnvironmentMissing):
        first.pass_on()
    over = threading.Event()

    def follow() -> None:
        with first.pipeline() as pipeline:
            pipeline.follow(over.is_set)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        wait_until(lambda: any(of.code == "held" for of in first.findings()))
        (finding,) = (of for of in first.findings() if of.code == "held")
        assert f"nothing is passed on to {second.root}" in finding.what
        away.rename(second.root)
        wait_until(lambda: second.runs() == {"a/next.sh": 1})
    finally:
        over.set()
        thread.join()
    assert len([line for line in first.said if "can't pass on" in line]) == 1
    assert first.findings() == []


def test_an_executable_that_is_gone_is_waited_for(steps: Steps) -> None:
    """Nothing is passed on without the executable, and nothing is lost."""
    first, second = steps
    first.put("a/run.sh")
    first.put("a/data")
    first.end("a")
    executable = first.layout.own / "next.sh"
    executable.rename(executable.with_suffix(".away"))
    with pytest.raises(Exception, match=r"next\.sh is not there"):
        first.pass_on()
    assert not (second.root / "a").exists()
    executable.with_suffix(".away").rename(executable)
    assert first.pass_on() == 1
