"""How an attempt runs: its input, output, environment, folder and end, with real workers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from shoal.core.job import Status
from shoal.local.fleet import LocalFleet

from .place import Place, is_gone, wait_until

MAX_ARGUMENT = 128 * 1024
LIBC_SIGNALS = 0b11 << 31
"""Signals 32 and 33 are glibc's own; it ignores them in all that it spawns."""

ODD_TEXT = "$(id) `id` ' \" \\ \n\ttwo words ünï *"

JOBS: dict[str, dict[str, Any]] = {
    "stdin": {"commands": ["readlink /proc/self/fd/0", "cat", "read x || echo nothing to read"]},
    "order": {"commands": ["for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done"]},
    "signals": {"commands": ["grep -E 'SigIgn|SigBlk' /proc/self/status"]},
    "pipe": {"commands": ["yes | head -n 1"]},
    "files": {"commands": ["ls /proc/self/fd"]},
    "variables": {
        "commands": ['echo "$SHOAL_JOB_ID $SHOAL_RUN $SHOAL_ATTEMPT"; printf %s "$ODD"'],
        "environment": {"ODD": ODD_TEXT, "SHOAL_JOB_ID": "forged", "SHOAL_ATTEMPT": "99"},
    },
    "third-time": {"commands": ['[ "$SHOAL_ATTEMPT" = 3 ]'], "retry": "5"},
    "one-script": {
        "commands": ["cd /", "x=1", "if true", "then", "echo $x $PWD; fi", "false", ":"]
    },
    "dash": {"commands": ["-n not an option 2>/dev/null; echo ran"]},
    "plus": {"commands": ["+x 2>/dev/null; echo ran"]},
    "long-line": {"commands": [f": {'x' * 200_000}", "echo ran"]},
    "many-lines": {"commands": [":"] * 70_000 + ["echo ran"]},
    "just-fits": {"commands": [f"echo ran #{'x' * (MAX_ARGUMENT - 1 - 10)}"]},
    "just-over": {"commands": [f"echo ran #{'x' * (MAX_ARGUMENT - 10)}"]},
    "huge-variable": {"commands": ["echo"], "environment": {"X": "x" * 200_000}},
    "killed": {"commands": ["echo last words; kill -SEGV $$"]},
    "odd-signal": {"commands": ["kill -40 $$"]},
    "last-words": {"commands": ["printf 'first\\n\\033[31mred\\t\\377\\n \\n'; exit 1"]},
    "document": {"commands": ["echo"], "ssm_document": "AWS-RunAnsiblePlaybook", "retry": 5},
    "powershell": {
        "commands": ["Write-Output hello"],
        "ssm_document": "AWS-RunPowerShellScript",
        "retry": 5,
    },
    "required": {
        "commands": ["mkdir -p a/b; touch a/b/c; ln -s a/b/c link"],
        "required_files": ["a/b/c", "link"],
    },
    "missing": {
        "commands": ["mkdir folder; ln -s nowhere link"],
        "required_files": ["folder", "link", "none"],
    },
    "string": {"commands": ["echo All good >&2"], "job_success_string": "l g"},
    "no-string": {"commands": ["echo all fine"], "job_success_string": "All good"},
    "quiet-string": {"commands": ["true"], "job_success_string": "All good"},
    "blank-string": {"commands": ["true"], "job_success_string": " \t"},
    "unicode-string": {
        "commands": ["printf '\\377 ünï 🐟 fertig'"],
        "job_success_string": "ünï 🐟",
    },
    "string-but-failed": {"commands": ["echo good; exit 1"], "job_success_string": "good"},
    **{
        f"border-{offset}": {
            "commands": [f"head -c {(1 << 20) - offset} /dev/zero; printf 'ACROSS THE BORDER'"],
            "job_success_string": "ACROSS THE BORDER",
        }
        for offset in (0, 1, 8, 16, 17)
    },
    "timeout": {
        "commands": ["trap '' TERM", "sleep 1000 & echo $! > $SHOAL_ENV/slept", "wait; wait"],
        "timeout": 0.3,
        "retry": 1,
    },
    "heeds-term": {
        "commands": ["trap 'echo saved; exit 0' TERM", "sleep 1000 & wait"],
        "timeout": 0.3,
    },
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place where all of `JOBS` have run, by a worker with an empty PATH but for the basics."""
    place = Place(tmp_path_factory.mktemp("runner") / "jobs")
    tools = place.root.parent / "tools"
    tools.mkdir()
    for tool in ("cat", "grep", "head", "id", "ln", "ls", "mkdir", "readlink", "sleep", "touch"):
        found = shutil.which(tool)
        assert found is not None
        (tools / tool).symlink_to(found)
    (tools / "yes").symlink_to(shutil.which("yes") or "yes")
    place.submit(*({"job_id": job_id, **job} for job_id, job in JOBS.items()))
    place.up(variables={"PATH": str(tools)})
    yield place
    place.clear()


def test_all_are_over(ran: Place) -> None:
    """Whatever an attempt does, it ends with a verdict and never counts as an interruption."""
    with ran.client() as client:
        found = client.jobs()
    assert {job.job_id for job in found} == JOBS.keys()
    assert all(job.status in (Status.SUCCESSFUL, Status.FAILED) for job in found)
    assert not any(job.interruptions for job in found)


def test_standard_input_is_empty(ran: Place) -> None:
    """An attempt reads nothing from standard input, and does not wait for it."""
    assert ran.output("stdin") == "/dev/null\nnothing to read\n"


def test_standard_input_is_not_the_workers(place: Place) -> None:
    """What whoever started the worker types at it does not reach the attempt."""
    place.submit({"job_id": "a", "commands": ["cat; readlink /proc/self/fd/0"]})
    worker = place.start_worker()
    worker.communicate("for the worker\n")
    assert place.output("a") == "/dev/null\n"


def test_output_and_errors_are_kept_in_order(ran: Place) -> None:
    """Standard output and standard error come in one file, in the order they were written."""
    assert ran.output("order") == "".join(f"o{i}\ne{i}\n" for i in range(1, 10))


def test_no_signal_is_ignored_or_blocked(ran: Place) -> None:
    """An attempt starts with every signal at its default, also below a supervisor."""
    masks = [int(line.split()[1], 16) for line in ran.output("signals").splitlines()]
    assert [mask & ~LIBC_SIGNALS for mask in masks] == [0, 0]
    assert ran.output("pipe") == "y\n"


def test_no_file_of_the_worker_is_inherited(ran: Place) -> None:
    """An attempt has its three standard files open and none of the worker's."""
    assert ran.output("files").split() == ["0", "1", "2", "3"]


def test_variables(ran: Place) -> None:
    """An attempt knows its job, run and attempt, whatever the job's own variables say."""
    assert ran.output("variables") == f"variables 1 1\n{ODD_TEXT}"


def test_attempts_are_numbered(ran: Place) -> None:
    """Each attempt has the next number, and the first that succeeds is the last."""
    assert [attempt.attempt for attempt in ran.attempts("third-time")] == [1, 2, 3]
    assert ran.job("third-time").retries == "2 of 5"


def test_commands_are_one_script(ran: Place) -> None:
    """The commands are the lines of one script, and its last one decides."""
    assert ran.output("one-script") == "1 /\n"
    assert ran.job("one-script").status == Status.SUCCESSFUL


@pytest.mark.parametrize(
    "job_id", ["dash", "plus", "long-line", "many-lines", "just-fits", "just-over"]
)
def test_any_script_runs(ran: Place, job_id: str) -> None:
    """A script runs when it begins like an option, and however long it is."""
    assert ran.output(job_id) == "ran\n"


@pytest.mark.parametrize(
    ("job_id", "reason"),
    [
        ("killed", "ended by signal SIGSEGV, last output: last words"),
        ("odd-signal", "ended by signal 40"),
        ("last-words", "exit code 1, last output:  [31mred �"),
        ("missing", "required file missing: folder, link, none"),
        ("no-string", "success string 'All good' is not in the output"),
        ("quiet-string", "success string 'All good' is not in the output"),
        ("string-but-failed", "exit code 1, last output: good"),
        ("timeout", "timed out after 0.3 s"),
        ("heeds-term", "timed out after 0.3 s"),
    ],
)
def test_failures_say_why(ran: Place, job_id: str, reason: str) -> None:
    """The reason of a failure says what is not as it should be, in printable characters."""
    assert ran.job(job_id).status == Status.FAILED
    assert ran.reason(job_id) == reason


@pytest.mark.parametrize(
    "job_id",
    ["required", "string", "blank-string", "unicode-string"]
    + [name for name in JOBS if name.startswith("border-")],
)
def test_what_is_asked_for_is_found(ran: Place, job_id: str) -> None:
    """Required files and success strings are found wherever they are."""
    assert ran.reason(job_id) == "confirmed"


def test_a_variable_too_long_for_the_system_fails_the_job(ran: Place) -> None:
    """What the system refuses to start fails its job with the system's word."""
    assert "Argument list too long" in ran.reason("huge-variable")


def test_an_unknown_document_fails_without_retries(ran: Place) -> None:
    """A document that this machine can't run fails at once, named, with those that can."""
    assert "'AWS-RunAnsiblePlaybook' can't run on this machine" in ran.reason("document")
    assert "AWS-RunShellScript" in ran.reason("document")
    assert len(ran.attempts("document")) == 1


def test_powershell_without_pwsh_fails_without_retries(ran: Place) -> None:
    """A PowerShell job says what is missing."""
    assert ran.reason("powershell") == (
        "AWS-RunPowerShellScript needs pwsh, which is not on the PATH"
    )
    assert len(ran.attempts("powershell")) == 1


def test_a_timeout_ends_the_whole_tree(ran: Place) -> None:
    """What an attempt has started is gone after its timeout; the timeout counts as a failure."""
    assert is_gone(int((ran.root / "slept").read_text()))
    assert len(ran.attempts("timeout")) == 2


def test_a_timeout_asks_before_it_kills(ran: Place) -> None:
    """An attempt out of time can still save what it has."""
    assert ran.output("heeds-term") == "saved\n"


def test_nothing_is_left_but_logs(ran: Place) -> None:
    """When the workers have left, no work folder, script or live log is left."""
    assert list(ran.layout.work.iterdir()) == []
    assert list((ran.layout.logs / "live").iterdir()) == []
    assert list(ran.layout.workers.iterdir()) == []


def test_powershell_gets_the_script_as_a_file(place: Place) -> None:
    """Where pwsh is on the PATH it runs the commands as one script file."""
    pwsh = place.root.parent / "bin/pwsh"
    pwsh.parent.mkdir()
    pwsh.write_text('#!/bin/sh\necho "$1 $2 $3"; cat "$4"\n')
    pwsh.chmod(0o755)
    place.submit(
        {
            "job_id": "ps",
            "ssm_document": "AWS-RunPowerShellScript",
            "commands": ["Write-Output 'a b'", "exit 0"],
        }
    )
    place.work(variables={"PATH": f"{pwsh.parent}:/usr/bin:/bin"})
    assert place.output("ps") == "-NoProfile -NonInteractive -File\nWrite-Output 'a b'\nexit 0"


def test_logs_of_quiet_attempts_are_empty(place: Place) -> None:
    """An attempt without output has none to show, also while its worker runs a job that talks."""
    place.submit(
        {"job_id": "quiet", "commands": ["true"]},
        {
            "job_id": "talks",
            "commands": [
                "echo secret; touch $SHOAL_ENV/talked",
                "while [ ! -e $SHOAL_ENV/go ]; do sleep 0.01; done",
            ],
        },
    )
    worker = place.start_worker()
    wait_until(lambda: (place.root / "talked").exists())
    assert place.output("talks") == "secret\n"
    assert place.output("quiet") == ""
    place.put("go")
    worker.communicate()


def test_output_of_a_killed_worker_is_kept(place: Place) -> None:
    """What an attempt had printed when its worker was killed can still be read."""
    place.submit({"job_id": "a", "commands": ["echo so far; touch $SHOAL_ENV/talked; sleep 1000"]})
    worker = place.start_worker()
    wait_until(lambda: (place.root / "talked").exists())
    worker.kill()
    worker.communicate()
    with place.client() as client:
        client.environment.store.reap(LocalFleet(place.layout).reclaim, 0.0, 20)
    assert place.job("a").status == Status.QUEUED
    assert place.output("a") == "so far\n"
