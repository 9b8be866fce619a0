"""`shoal status`: counts and jobs, or one job with its attempts; for people and for programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from .shell import Shell, made_once, wait_until

FLAKY = "echo try $SHOAL_ATTEMPT; test $SHOAL_ATTEMPT = 2"


def make(root: Path) -> None:
    """An environment with jobs in every state but Started."""
    shell = Shell(root)
    shell.job_folder("corners/tt", "echo done > result.txt\n")
    shell.submit("flaky", FLAKY, retry=3)
    shell.submit("bad", "echo no licence; exit 75", retry=1)
    shell.run_all()
    shell.submit("gone", tags={"who": "me"})
    shell.type("cancel", "gone")
    shell.submit("waiting-1", "echo 1", priority=5)
    shell.submit("waiting-2", "echo 2")


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in that environment, for tests that only look."""
    return Shell(made_once(tmp_path_factory, "status", make))


def test_counts_come_first(after: Shell) -> None:
    """Without a job, status counts the jobs in each state and the workers."""
    counts = after.type("status").out.splitlines()[0]
    assert counts.split("   ") == [
        *("2 Queued", "0 Started", "2 Successful", "1 Failed", "1 Cancelled", "0 workers")
    ]


def test_the_table_lists_jobs_newest_first(after: Shell) -> None:
    """The table has a line a job, the newest first, with its status and the reason for it."""
    lines = after.type("status").out.splitlines()[3:]
    names = [line.split()[0] for line in lines]
    assert names[:3] == ["waiting-2", "waiting-1", "gone"]
    assert sorted(names[3:]) == ["bad", "corners/tt/run.sh", "flaky"]
    bad = next(line for line in lines if line.startswith("bad"))
    assert bad.endswith("  exit code 75, last output: no licence")
    assert "Failed" in bad


def test_nobody_working_on_live_jobs_is_said(after: Shell) -> None:
    """Where jobs wait and nobody works, status says how to start somebody."""
    assert "shoal up" in after.type("status").err


def test_only_what_was_asked_for_is_listed(after: Shell) -> None:
    """Status, glob and limit choose jobs, and what the limit leaves out is counted."""

    def listed(*words: str) -> list[str]:
        return [job["job_id"] for job in after.type_for_json("status", *words)["jobs"]]

    assert listed("--status", "failed") == ["bad"]
    assert set(listed("--status", "Failed", "--status", "Cancelled")) == {"bad", "gone"}
    assert set(listed("waiting-*")) == {"waiting-1", "waiting-2"}
    assert listed("waiting-*", "--status", "Failed") == []
    assert len(listed("waiting-*", "-n", "1")) == 1
    assert listed("-n", "1") == ["waiting-2"]
    assert len(listed("-n", "0")) == 6
    assert "The newest 1 of 2;" in after.type("status", "--status", "Queued", "-n", "1").err
    assert "newest" not in after.type("status", "--status", "Failed").err


def test_a_job_is_json_under_the_originals_names(after: Shell) -> None:
    """--json gives a job the attributes that the original's table has, with their meaning."""
    item = after.type_for_json("status", "bad")
    original = {
        "job_id": "bad",
        "Status": "Failed",
        "Retries": "1 of 1",
        "SSM_Document": "AWS-RunShellScript",
        "Commands": ["echo no licence; exit 75"],
    }
    assert original.items() <= item.items()
    with open(item["Output_Logs"]) as log:
        assert log.read() == "no licence\n"
    assert (item["exit_code"], item["run"], item["attempt"]) == (75, 1, 2)
    assert item["reason"] == "exit code 75, last output: no licence"


def test_the_attempts_of_a_job_are_json_too(after: Shell) -> None:
    """--json lists every attempt: worker, times, exit code, ending, reason, output."""
    item = after.type_for_json("status", "flaky")
    assert (item["Status"], item["Retries"]) == ("Successful", "1 of 3")
    first, second = item["attempts"]
    assert (first["attempt"], first["ending"], first["exit_code"]) == (1, "failed", 1)
    assert (second["attempt"], second["ending"], second["exit_code"]) == (2, "successful", 0)
    assert first["instance_id"].startswith("w-")
    assert first["started_at"] <= first["ended_at"] <= second["started_at"]
    for number, attempt in enumerate((first, second), 1):
        with open(attempt["Output_Logs"]) as log:
            assert log.read() == f"try {number}\n"
    assert item["Output_Logs"] == second["Output_Logs"]


def test_one_job_is_shown_with_all_its_attempts(after: Shell) -> None:
    """With the id of one job, status shows each attempt and where its output lies."""
    item = after.type_for_json("status", "flaky")
    shown = after.type("status", "flaky").out
    assert shown.startswith("flaky is Successful: confirmed\nrun 1, retries 1 of 3,")
    for attempt in item["attempts"]:
        line = next(
            line for line in shown.splitlines() if line.startswith(f"1.{attempt['attempt']} ")
        )
        for part in (attempt["instance_id"], str(attempt["exit_code"]), attempt["ending"]):
            assert part in line.split()
        assert f"output of 1.{attempt['attempt']}: {attempt['Output_Logs']}\n" in shown


def test_a_job_folders_executable_is_its_command(after: Shell) -> None:
    """A job that came as a folder shows its folder, and its executable as the command."""
    item = after.type_for_json("status", "corners/tt/run.sh")
    assert (item["folder"], item["Commands"]) == ("corners/tt", ["./run.sh"])
    assert item["Output_Logs"] is None


def test_tags_and_priority_are_json_too(after: Shell) -> None:
    """--json shows a job's tags and priority."""
    assert after.type_for_json("status", "gone")["tags"] == {"who": "me"}
    assert after.type_for_json("status", "waiting-1")["priority"] == 5


def test_an_unknown_job_is_an_error(after: Shell) -> None:
    """A job id or a glob that fits nothing ends with code 2, and says what lists the jobs."""
    for name in ("nobody", "nobody-*"):
        error = after.type("status", name, code=2).err
        assert f"'{name}'" in error
        assert "'shoal status' lists them" in error


def test_a_running_job_shows_its_worker(shell: Shell) -> None:
    """A Started job names its worker and its attempt, while it runs."""
    shell.up("--max-workers", "1")
    shell.submit("long", "echo begun; exec sleep 600")
    wait_until(lambda: shell.statuses()["long"] == "Started", "the job to start")
    item = shell.type_for_json("status", "long")
    assert (item["Status"], item["attempts"]) == ("Started", [])
    assert item["instance_id"].startswith("w-")
    assert item["started_at"] < item["lease_until"]
    assert f"1.1      {item['instance_id']}" in shell.type("status", "long").out
    assert f"on {item['instance_id']} for" in shell.type("status").out
    (worker,) = shell.type_for_json("workers")
    assert (worker["instance_id"], worker["job_id"]) == (item["instance_id"], "long")
    assert shell.type_for_json("status")["workers"] == 1
    assert "long" in shell.type("workers").out
    shell.type("cancel", "long")
