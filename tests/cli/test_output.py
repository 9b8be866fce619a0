"""What jobs leave behind: `shoal logs`, `shoal fetch`, and `shoal events`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .shell import PATIENCE_S, SHOAL, Shell, until

TRY = "echo try $SHOAL_ATTEMPT of run $SHOAL_RUN; test $SHOAL_ATTEMPT = 2"


def test_logs_prints_the_output_byte_for_byte(shell: Shell) -> None:
    """`logs` prints what the job wrote, to stdout and to stderr, and nothing else."""
    shell.submit("a", r"printf 'a\0\377'; printf 'b\n' >&2")
    shell.run_all()
    printed = subprocess.run(
        [SHOAL, "logs", "a"],
        cwd=shell.folder,
        env=shell.variables,
        capture_output=True,
        check=True,
    )
    assert printed.stdout == b"a\0\xffb\n"
    assert printed.stderr == b""


def test_logs_of_an_attempt_or_a_run_can_be_chosen(shell: Shell) -> None:
    """`logs` takes the last attempt, or the one that --attempt names, with its run if need be."""
    shell.submit("a", TRY, retry=1)
    shell.run_all()
    shell.submit("a", "echo second run")
    shell.run_all()
    assert shell.type("logs", "a").out == "second run\n"
    assert shell.type("logs", "a", "--attempt", "1").out == "second run\n"
    assert shell.type("logs", "a", "--attempt", "1.1").out == "try 1 of run 1\n"
    assert shell.type("logs", "a", "--attempt", "1.2").out == "try 2 of run 1\n"
    assert "no attempt 2.7" in shell.type("logs", "a", "--attempt", "7", code=2).err
    shell.type("logs", "a", "--attempt", "last", code=2)


def test_logs_says_when_there_is_no_output(shell: Shell) -> None:
    """A job that has not started, or wrote nothing, prints nothing; a person is told why."""
    shell.submit("a")
    said = shell.type("logs", "a")
    assert (said.out, said.err) == ("", "not started yet\n")
    shell.run_all()
    said = shell.type("logs", "a")
    assert (said.out, said.err) == ("", "attempt 1.1 of 'a' has no output\n")


def test_logs_never_shows_the_output_of_another_job(shell: Shell, tmp_path: Path) -> None:
    """A job without output has none, though its worker writes the output of the next one."""
    shell.submit("silent")
    shell.submit("loud", f"echo loud; {until(tmp_path / 'go')}")
    following = shell.start("logs", "-f", "loud")
    shell.up("--max-workers", "1")
    assert following.stdout is not None
    assert following.stdout.readline() == "loud\n"
    assert shell.type("logs", "silent").out == ""
    assert shell.type_for_json("status", "silent")["Output_Logs"] is None
    (tmp_path / "go").touch()
    assert following.wait(PATIENCE_S) == 0


def test_logs_follows_an_attempt_to_its_end(shell: Shell, tmp_path: Path) -> None:
    """`logs -f` waits for the job to start, prints what comes as it comes, and ends with it."""
    shell.submit("a", f"echo one; {until(tmp_path / 'go')}; echo two")
    following = shell.start("logs", "-f", "a")
    shell.up("--max-workers", "1")
    assert following.stdout is not None
    assert following.stdout.readline() == "one\n"
    (tmp_path / "go").touch()
    assert following.stdout.read() == "two\n"
    assert following.wait(PATIENCE_S) == 0


def test_fetch_copies_results_and_only_those(shell: Shell, tmp_path: Path) -> None:
    """`fetch` copies what the jobs have made, a subfolder a job folder, and no input."""
    for name in ("a", "b"):
        shell.job_folder(f"in/{name}", f"mkdir out; echo {name} > out/r.txt", in_txt="input")
    shell.type("submit", "in/a", "in/b")
    shell.run_all()
    fetched = shell.type_for_json("fetch", "in/*", str(tmp_path / "to"))
    assert sorted(fetched) == [str(tmp_path / "to/in" / name / "out/r.txt") for name in "ab"]
    assert (tmp_path / "to/in/b/out/r.txt").read_text() == "b\n"
    said = shell.type("fetch", "in/a/run.sh", "here")
    assert said.err == "1 file copied to here\n"
    files = [path for path in (shell.folder / "here").rglob("*") if path.is_file()]
    assert files == [shell.folder / "here/in/a/out/r.txt"]


def test_fetch_says_why_a_command_has_left_nothing(shell: Shell) -> None:
    """A job without a folder keeps no files, and `fetch` says so."""
    shell.submit("a", "echo > r.txt")
    shell.run_all()
    said = shell.type("fetch", "a", "to").err
    assert "0 files copied" in said
    assert "only its output" in said


def test_fetch_names_a_result_that_is_gone(shell: Shell) -> None:
    """A result that somebody removed from the job folder is an error with a remedy."""
    shell.job_folder("a", "echo > r.txt")
    shell.run_all()
    (shell.folder / "a" / "r.txt").unlink()
    error = shell.type("fetch", "a/run.sh", "to", code=2).err
    assert "'a/r.txt'" in error
    assert "submit the job again" in error


def test_events_are_the_queues_a_line_a_run(shell: Shell) -> None:
    """`events` prints a line for each run that ended, in order, with the job's own JSON."""
    shell.submit("good")
    shell.run_all()
    shell.submit("bad", "false")
    shell.run_all()
    shell.submit("gone")
    shell.type("cancel", "gone")
    lines = [json.loads(line) for line in shell.type("events", "--json").out.splitlines()]
    assert [(line["queue"], line["job_id"], line["status"]) for line in lines] == [
        ("finished", "good", "Successful"),
        ("failed", "bad", "Failed"),
        ("cancelled", "gone", "Cancelled"),
    ]
    assert lines[0]["job"] == {
        "batch": lines[0]["job"]["batch"],
        "job_id": "good",
        "retry": "0",
        "job_success_string": " ",
        "ssm_document": "AWS-RunShellScript",
        "commands": ["true"],
    }
    assert lines[1]["reason"] == "exit code 1"
    cursors = [line["cursor"] for line in lines]
    assert cursors == sorted(set(cursors))
    for number, queue in enumerate(("finished", "failed", "cancelled")):
        assert shell.type_for_json("events", "--queue", queue) == lines[number]
    assert shell.type_for_json("events", "--after", str(cursors[1])) == lines[2]
    assert len(shell.type("events").out.splitlines()) == 3


def test_events_can_be_followed_and_resumed(shell: Shell) -> None:
    """A follower that comes back with its last cursor misses no run and sees none twice."""
    shell.up("--max-workers", "1")
    shell.submit("a")
    shell.wait()
    first = shell.start("events", "--follow", "--json")
    assert first.stdout is not None
    seen = [json.loads(first.stdout.readline())]
    shell.submit("b")
    seen.append(json.loads(first.stdout.readline()))
    first.terminate()
    first.wait(PATIENCE_S)
    shell.submit("c")
    shell.wait()
    second = shell.start("events", "-f", "--json", "--after", str(seen[-1]["cursor"]))
    assert second.stdout is not None
    seen.append(json.loads(second.stdout.readline()))
    shell.submit("d")
    seen.append(json.loads(second.stdout.readline()))
    assert [event["job_id"] for event in seen] == ["a", "b", "c", "d"]


def test_a_run_of_a_replaced_job_is_an_event_of_its_own(shell: Shell) -> None:
    """Submitting a waiting job with new content ends the old run as Cancelled, with the reason."""
    shell.submit("a", "echo 1")
    shell.submit("a", "echo 2")
    event = shell.type_for_json("events")
    assert (event["run"], event["queue"], event["reason"]) == (1, "cancelled", "replaced by run 2")
    assert event["job"]["commands"] == ["echo 1"]


@pytest.mark.parametrize("verb", ["events", "events --follow", "status -n 0", "logs a"])
def test_a_reader_that_has_enough_is_no_failure(shell: Shell, verb: str) -> None:
    """Who stops reading early, like `head`, makes no verb complain or fail."""
    shell.submit("a", "echo some output")
    shell.run_all()
    ended = subprocess.run(
        ["bash", "-c", f"{SHOAL} {verb} | true; exit ${{PIPESTATUS[0]}}"],
        cwd=shell.folder,
        env=shell.variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
