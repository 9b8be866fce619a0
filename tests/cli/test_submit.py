"""`shoal submit`: job folders, commands, files of jobs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .shell import Shell, write_job_folder


def test_a_command_becomes_a_job_that_waits(shell: Shell) -> None:
    """A submitted command is Queued under the id given, which is printed alone on stdout."""
    said = shell.type("submit", "--command", "echo hello", "--id", "greeting")
    assert said.out == "greeting\n"
    assert "1 job submitted" in said.err
    assert shell.statuses() == {"greeting": "Queued"}


def test_a_person_is_told_that_nobody_works(shell: Shell) -> None:
    """Who submits where nobody works learns how to start somebody."""
    assert "shoal up" in shell.type("submit", "--command", "true").err


def test_a_command_without_an_id_gets_a_new_one(shell: Shell) -> None:
    """Two commands without ids are two jobs, and --json names them."""
    ids = [shell.type_for_json("submit", "--command", "true")["job_ids"][0] for _ in range(2)]
    assert len(set(ids)) == 2
    assert set(shell.statuses()) == set(ids)


def test_all_options_reach_the_job(shell: Shell) -> None:
    """Each option of submit sets its key of the job JSON."""
    shell.type(
        *("submit", "--command", "make all", "--id", "a", "--retry", "2", "--timeout", "90"),
        *("--success-string", "ALL DONE", "--priority", "-3", "--require", "out/a.txt"),
        *("--require", "b.txt", "--set", "MODE=fast=er", "--set", "EMPTY=", "--tag", "who=me"),
    )
    with shell.client() as client:
        spec = client.job("a").spec
    assert spec.commands == ("make all",)
    assert (spec.retry, spec.timeout, spec.priority) == (2, 90.0, -3)
    assert spec.job_success_string == "ALL DONE"
    assert spec.required_files == ("out/a.txt", "b.txt")
    assert spec.environment == {"MODE": "fast=er", "EMPTY": ""}
    assert spec.tags == {"who": "me"}


def test_a_folder_in_the_environment_is_submitted_where_it_is(shell: Shell) -> None:
    """A job folder inside the environment becomes a job whose id is the executable's path."""
    shell.job_folder("corners/tt", "cat in.txt > out.txt", in_txt="1.8 V")
    assert shell.type("submit", "corners/tt").out == "corners/tt/run.sh\n"
    shell.run_all()
    assert shell.statuses() == {"corners/tt/run.sh": "Successful"}
    assert (shell.folder / "corners/tt/out.txt").read_text() == "1.8 V"


def test_a_folder_from_elsewhere_is_copied_in_and_runs_once(shell: Shell, tmp_path: Path) -> None:
    """A job folder outside the environment is copied in, and the copy runs once, though watched."""
    outside = tmp_path / "elsewhere" / "tt"
    write_job_folder(outside, "echo ran >> log.txt", in_txt="x")
    shell.up("--max-workers", "2")
    shell.type("submit", str(outside), "--retry", "1")
    shell.wait()
    shell.type("submit", "--command", "true")  # whatever the watch has seen is taken in before
    shell.wait()
    assert (shell.folder / "tt" / "log.txt").read_text() == "ran\n"
    assert sorted(path.name for path in outside.iterdir()) == ["in.txt", "run.sh"]
    job = shell.type_for_json("status", "tt/run.sh")
    assert (job["run"], job["Retries"]) == (1, "0 of 1")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nothing-here",), "is not a folder"),
        (("empty",), "holds no executable"),
    ],
)
def test_what_is_no_job_folder_is_refused(shell: Shell, words: tuple[str, ...], says: str) -> None:
    """A path that is no job folder is refused with the reason, and exit code 2."""
    (shell.folder / "empty").mkdir()
    assert says in shell.type("submit", *words, code=2).err
    assert shell.statuses() == {}


def test_a_file_of_jobs_in_the_originals_json_is_submitted(shell: Shell) -> None:
    """Jobs in the original's JSON, one a line, are taken from a file and from standard input."""
    original = {
        "job_id": "jobId_0",
        "retry": "3",
        "job_success_string": " ",
        "ssm_document": "AWS-RunShellScript",
        "commands": ["echo Hello World"],
    }
    lines = [json.dumps(original | {"job_id": f"jobId_{number}"}) for number in range(3)]
    (shell.folder / "jobs.jsonl").write_text(f"{lines[0]}\n\n{lines[1]}\n")
    report = shell.type_for_json("submit", "--file", "jobs.jsonl")
    batch = report.pop("batch")
    assert report == {"accepted": 2, "unchanged": 0, "job_ids": None}
    assert shell.type_for_json("status", "jobId_0")["batch"] == batch
    assert "1 job submitted" in shell.type("submit", "--file", "-", stdin=lines[2]).err
    assert set(shell.statuses()) == {"jobId_0", "jobId_1", "jobId_2"}
    with shell.client() as client:
        assert client.job("jobId_1").retries == "0 of 3"


def test_a_file_with_one_bad_line_submits_nothing(shell: Shell) -> None:
    """A bad line is named, with what is wrong and the key that was meant; no job is accepted."""
    lines = ['{"job_id": "a", "commands": ["true"]}', '{"job_id": "b", "comands": ["true"]}']
    error = shell.type("submit", "--file", "-", stdin="\n".join(lines), code=2).err
    assert "line 2" in error
    assert "'comands'" in error
    assert "'commands'" in error
    assert "No job was submitted" in error
    assert shell.statuses() == {}


def test_the_same_waiting_command_submitted_again_is_one_job(shell: Shell) -> None:
    """Submitting a Queued job again unchanged starts no second run, and says so."""
    for accepted in (1, 0):
        report = shell.type_for_json("submit", "--command", "true", "--id", "a")
        assert (report["accepted"], report["unchanged"]) == (accepted, 1 - accepted)
    assert shell.type_for_json("status", "a")["run"] == 1


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("somewhere", "--command", "true"),
        ("--file", "-", "--retry", "1"),
        ("--file", "-", "--id", "a"),
        ("somewhere", "--id", "a"),
        ("--sweep", "params.csv"),
        ("--command", "true", "--set", "NOVALUE"),
        ("--command", "true", "--tag", "=x"),
        ("--command", "true", "--retry", "many"),
        ("--command", "true", "--retry", "-1"),
        ("--command", "true", "--timeout", "0"),
        ("--command", "true", "--id", ""),
        ("--command", "true", "--id", "two\nlines"),
        ("--command", "true", "--require", "../secret"),
        ("--command", ""),
    ],
)
def test_what_makes_no_sense_is_refused(shell: Shell, words: tuple[str, ...]) -> None:
    """Options that contradict each other, or mean nothing, end with code 2 and a word on why."""
    (shell.folder / "params.csv").write_text("a\n1\n")
    assert len(shell.type("submit", *words, code=2).err.splitlines()) >= 1
    assert not (shell.folder / ".shoal" / "shoal.db").exists() or shell.statuses() == {}
