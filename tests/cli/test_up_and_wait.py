"""`shoal up`, which runs what is there, and `shoal wait`, which waits for it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .shell import PATIENCE_S, Shell, until, wait_until


def test_up_runs_job_folders_until_all_is_quiet(shell: Shell) -> None:
    """`up --until-idle` runs the job folders that are there, and ends with no worker left."""
    for number in range(3):
        shell.job_folder(f"corner {number}", "cat in.txt > out.txt", in_txt=f"{number}")
    said = shell.run_all()
    assert set(shell.statuses().values()) == {"Successful"}
    for number in range(3):
        assert (shell.folder / f"corner {number}" / "out.txt").read_text() == f"{number}"
    assert "3 new jobs" in said.err
    assert "all jobs are over and all workers gone: 3 Successful" in said.err
    assert shell.processes() == []


def test_up_takes_what_comes_while_it_watches(shell: Shell) -> None:
    """A job folder dropped in while `up` watches runs, and its results lie beside its inputs."""
    shell.up("--max-workers", "1")
    folder = shell.job_folder("late", "echo $SHOAL_JOB_ID > id.txt")
    wait_until((folder / "id.txt").exists, "the result")
    assert (folder / "id.txt").read_text() == "late/run.sh\n"


def test_up_makes_and_watches_the_folder_it_is_given(shell: Shell) -> None:
    """`up FOLDER` makes a folder that is not there an environment; --quiet says nothing."""
    said = shell.type("up", "new/env", "--until-idle", "--quiet")
    assert (said.out, said.err) == ("", "")
    assert "0 Queued" in shell.type("status", "-e", "new/env").out
    assert "0 Queued" in shell.type("status", variables={"SHOAL_ENV": "new/env"}).out


def test_up_takes_its_settings_from_flags(shell: Shell) -> None:
    """Trigger suffixes and the retries of job folders can be given to `up`."""
    folder = shell.job_folder("a", "#!/bin/sh\necho >> tries.txt; exit 1")
    (folder / "run.sh").rename(folder / "run.job")
    shell.job_folder("b", "true")
    shell.run_all("--trigger-suffix", ".job", "--trigger-suffix", ".bat", "--retry", "2")
    assert shell.statuses() == {"a/run.job": "Failed"}
    assert shell.type_for_json("status", "a/run.job")["Retries"] == "2 of 2"


def test_a_refused_executable_is_said_and_listed(shell: Shell) -> None:
    """An executable that can't become a job is named with the reason, on screen and as an event."""
    (shell.folder / "run.sh").write_text("true")
    assert "top of the bucket" in shell.run_all().err
    event = shell.type_for_json("events")
    assert (event["queue"], event["job_id"], event["job"]) == (
        "failed",
        None,
        {"refused": "run.sh"},
    )


def test_a_second_supervisor_is_refused(shell: Shell) -> None:
    """A folder has one supervisor: the second ends with code 3 and names the first."""
    first = shell.up()
    assert f"process {first.pid}" in shell.type("up", code=3).err
    assert first.poll() is None


def test_up_drains_when_it_is_interrupted(shell: Shell, tmp_path: Path) -> None:
    """Ctrl-C lets the running job finish, starts no other, and ends when the workers are gone."""
    shell.submit("runs", until(tmp_path / "go"))
    shell.submit("waits", priority=-1)
    up = shell.up("--max-workers", "1")
    wait_until(lambda: shell.statuses()["runs"] == "Started", "the job to start")
    up.send_signal(signal.SIGINT)
    assert up.stderr is not None
    line = ""
    while "draining" not in line:
        line = up.stderr.readline()
        assert line
    (tmp_path / "go").touch()
    assert up.wait(PATIENCE_S) == 0
    assert shell.statuses() == {"runs": "Successful", "waits": "Queued"}
    assert shell.processes() == []


def test_up_interrupted_twice_leaves_the_worker_to_itself(shell: Shell, tmp_path: Path) -> None:
    """A second Ctrl-C ends `up` at once; the worker goes on, finishes its job, and leaves."""
    shell.submit("runs", until(tmp_path / "go"))
    up = shell.up("--max-workers", "1")
    wait_until(lambda: shell.statuses()["runs"] == "Started", "the job to start")
    assert up.stderr is not None
    for _ in range(2):
        up.send_signal(signal.SIGINT)
        while "Ctrl-C again" not in (line := up.stderr.readline()) and "not waiting" not in line:
            assert line
    assert up.wait(PATIENCE_S) == 0
    assert shell.statuses() == {"runs": "Started"}
    assert len(shell.type_for_json("workers")) == 1
    (tmp_path / "go").touch()
    wait_until(lambda: not shell.processes(), "the worker to leave")
    assert shell.statuses() == {"runs": "Successful"}


def test_wait_ends_with_0_when_all_are_successful(shell: Shell) -> None:
    """`wait` blocks until the jobs are over; all Successful ends with 0."""
    shell.submit("a")
    waiting = shell.start("wait", "--json")
    shell.up("--max-workers", "1")
    out, _ = waiting.communicate(timeout=PATIENCE_S)
    assert waiting.returncode == 0
    assert out == '{"by_status":{"Successful":1},"over":1,"total":1}\n'


def test_wait_ends_with_1_when_one_is_not(shell: Shell) -> None:
    """A job that is not Successful makes `wait` end with 1, unless it was not waited for."""
    shell.submit("good-1")
    shell.submit("bad-1", "false")
    shell.run_all()
    said = shell.type("wait", code=1)
    assert said.err.splitlines()[0] == "1 Successful, 1 Failed"
    assert "shoal status" in said.err
    shell.type("wait", "bad-*", code=1)
    shell.type("wait", "good-*")
    shell.type("wait", "good-1", "bad-1", code=1)
    shell.type("wait", "nobody", code=2)


def test_wait_gives_up_when_time_is_up(shell: Shell) -> None:
    """`wait --timeout` ends with 1 and says what is not over, and that nobody works."""
    shell.submit("a")
    said = shell.type("wait", "--timeout", "0.05", code=1)
    assert "time is up with 1 not over: 1 Queued" in said.err
    assert "shoal up" in said.err
    report = shell.type_for_json("wait", "--timeout", "0.05", code=1)
    assert report == {"by_status": {"Queued": 1}, "over": 0, "total": 1}


def test_wait_for_nothing_is_over_at_once(shell: Shell) -> None:
    """In an environment without jobs, there is nothing to wait for."""
    shell.type("up", "--until-idle")
    assert shell.type("wait").err == "no jobs\n"


@pytest.mark.parametrize("words", [("--max-workers", "-1"), ("--max-workers", "many")])
def test_a_setting_that_makes_no_sense_is_refused(shell: Shell, words: tuple[str, str]) -> None:
    """A flag with a value out of range ends `up` with code 2."""
    shell.type("up", *words, code=2)
