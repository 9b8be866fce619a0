"""Users of the first implementation: their scripts run unchanged, and what it got wrong is right.

Each thing it got wrong has a test. Those that are not here:

| what it got wrong | where it is shown |
|---|---|
| a message was deleted before its job ran | test_recovery: an aborted scheduler |
| 24,000 characters of output were looked at | test_limits: output of 100 MB |
| job ids over 100 characters, keys not decoded, keys at the root | test_limits |
| starting a command was repeated, so a job could run twice | test_trouble: lost answers |
| executions ran out of history | test_generations |
| schedulers went on without their worker, and burnt jobs | test_recovery: a killed worker |
| error paths left the worker alive | tests/aws/test_templates_lint: no path ends so |
| tags were matched by substring; two schedulers for one worker | test_alone |
| 18.4 transitions and 10.8 calls a job | test_fleet |
| results with the trigger suffix started jobs | test_limits |
| keys were spliced into shell commands | test_limits, tests/aws/test_linux_scripts |
| roles with full access | tests/aws/test_permissions |
| old Python, IMDSv1, open disks, no dead-letter queues | tests/aws/test_infrastructure |
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import shoal

from .emulator import Emulator
from .machines import Machines
from .stacks import Deployed, as_user
from .support import (
    PARAMETERS,
    Told,
    come_to_rest,
    depth,
    drain,
    job,
    objects,
    put_folder,
    scale_now,
    send,
    standing,
    wait_for_jobs,
    wait_until,
)

DROP_MANY = """
import boto3, sys
bucket, place = sys.argv[1:]
s3 = boto3.resource("s3")
for number in range(4):
    name = f"jobId_{number}"
    key = f"jobs/26-11-23/{name}/{name}"
    s3.meta.client.upload_file(Filename="example_file.input", Bucket=bucket, Key=key + ".input")
    content = "#!/bin/bash\\ncp {0}/{1}.input {0}/{1}.output".format(place, name)
    s3.Object(bucket, key + ".sh").put(Body=content)
"""
"""In the style of the script that drops a thousand jobs: absolute paths, the executable last."""

SEND_ONE = """
import boto3, json, sys
message = json.dumps({
    "job_id": "Job_Example",
    "retry": 3,
    "job_success_string": "Hello",
    "ssm_document": "AWS-RunShellScript",
    "commands": ["echo Hello World"],
})
queue = boto3.resource("sqs").get_queue_by_name(QueueName=sys.argv[1])
print(queue.send_message(MessageBody=message)["ResponseMetadata"]["HTTPStatusCode"])
"""
"""In the style of the script that sends one job to the queue: `retry` is a number."""

PAPER = """{
    "job_id": "jobId_0",
    "retry": "3",
    "job_success_string": " ",
    "ssm_document": "AWS-RunShellScript",
    "commands": ["echo Hello World"]
}"""

ONCE = json.loads(PAPER) | {"retry": "0"}
TWINS = [
    ONCE | {"job_id": "Job1", "retry": "1", "job_success_string": "Hello EVERYONE"},
    ONCE | {"job_id": "Job2", "job_success_string": "Hello"},
]
ELSEWHERE = ("ResponseCode", "AWS-RunShellScript", "Success", "HTTPHeaders", "awsrunShellScript")
"""What the answer about any command holds, outside of its output."""


@dataclass
class Seen:
    """What came of it all, on one worker at a time."""

    site: Deployed
    jobs: dict[str, dict[str, Any]]
    objects: dict[str, bytes]
    finished: list[Told]
    failed: list[Told]
    sent: list[dict[str, Any]]
    took_s: float
    protected: bool
    on_disk: list[Path]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory by which executables call their files."""
    return tmp_path_factory.mktemp("original") / "ec2-user/job"


@pytest.fixture(scope="module")
def site(emulator: Emulator, place: Path) -> Iterator[Deployed]:
    """A fleet of one worker, with the success string that the paper recommends for Linux."""
    wanted = {
        **PARAMETERS,
        "MaxInstancesAllowed": "1",
        "LiveLogs": "false",
        "EC2WorkingDirectory": str(place),
        "JobSuccessString": "upload",
    }
    with standing(emulator, "original", None, wanted) as stands:
        events = emulator.client("events")
        for rule in events.list_rules(NamePrefix="original-EC2Scale")["Rules"]:
            events.disable_rule(Name=rule["Name"])  # nobody is to wait for the minute's look
        yield stands


@pytest.fixture(scope="module")
def seen(site: Deployed, place: Path, _account: tuple[Emulator, Machines]) -> Iterator[Seen]:
    """Scripts of users, and jobs that the first implementation misjudged."""
    _, machines = _account
    machines.reset()
    folder = place.parents[1]
    (folder / "example_file.input").write_text("an example")
    began = time.monotonic()
    _run(site, folder, DROP_MANY, site.bucket, str(place))
    wait_until(lambda: job(site, "jobs/26-11-23/jobId_0/jobId_0.sh").get("attempt"), "the first")
    took_s = time.monotonic() - began
    (worker,) = machines.alive(site.group)
    protected = worker.protected
    assert _run(site, folder, SEND_ONE, site.queue) == "200\n"
    direct = [
        *TWINS,
        *(ONCE | {"job_id": f"in {where}", "job_success_string": where} for where in ELSEWHERE),
        ONCE | {"job_id": "silent", "commands": ["true"]},
        ONCE | {"job_id": "limited", "timeout": 7000},
        {"job_id": "bare", "commands": ["true"]},
    ]
    once = folder / "stopped"
    stopped = f"test -e {once} && exit 0; : >{once}; echo on; sleep 600"
    send(site, PAPER, *direct, ONCE | {"job_id": "stopped", "commands": [stopped]})
    ids = put_folder(site, "code", {"run.sh": "echo x >out.txt; exit 3"})
    ids += put_folder(site, "leaks", {"run.sh": f"mkdir leak; : >leak/leak; : >{place}/leaked"})
    ids += [f"jobs/26-11-23/jobId_{n}/jobId_{n}.sh" for n in range(4)]
    ids += ["Job_Example", "jobId_0", *(str(of["job_id"]) for of in direct)]
    _stop(site, machines)
    items = wait_for_jobs(site, [*ids, "stopped"])
    come_to_rest(site, machines, expected="WorkerGone")
    yield Seen(
        site,
        items,
        objects(site),
        drain(site, f"{site.queue}-finished"),
        drain(site, f"{site.queue}-failed"),
        [invocation.request for invocation in machines.sent()],
        took_s,
        protected,
        [*place.iterdir(), *worker.root.rglob("*leak*"), *worker.root.rglob("jobId*")],
    )
    machines.reset()


def _stop(site: Deployed, machines: Machines) -> None:
    """Cancel the command of a running job in Systems Manager, behind our back."""
    wait_for_jobs(site, ["stopped"], ["Started"])
    (command,) = wait_until(
        lambda: [
            of
            for of in machines.sent()
            if "sleep 600" in of.parameters["commands"][0] and of.status == "InProgress"
        ],
        "the command runs",
    )
    site.client("ssm").cancel_command(CommandId=command.command_id)


def _run(site: Deployed, folder: Path, script: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        env={**os.environ, **site.emulator.session_env(), "AWS_CONFIG_FILE": os.devnull},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- what its users do --------------------------------------------------------------------------


def test_a_script_that_drops_many_jobs(seen: Seen) -> None:
    """Executables find their files under the absolute path of the working directory."""
    for number in range(4):
        key = f"jobs/26-11-23/jobId_{number}/jobId_{number}"
        assert seen.jobs[f"{key}.sh"]["Status"] == "Successful"
        assert seen.objects[f"{key}.output"] == b"an example"


def test_a_script_that_sends_a_job_to_the_queue(seen: Seen) -> None:
    """`retry` may be a number, and a part of the output is enough of a success string."""
    assert seen.jobs["Job_Example"]["Status"] == "Successful"
    assert seen.jobs["Job_Example"]["Retries"] == "0 of 3"


def test_the_table_of_the_papers_job(seen: Seen) -> None:
    """get-item by job_id finds what it found, under the same names."""
    item = job(seen.site, "jobId_0")
    assert item["Status"] == "Successful"
    assert item["Retries"] == "0 of 3"
    assert item["SSM_Document"] == "AWS-RunShellScript"
    assert json.loads(item["Commands"]) == ["echo Hello World"]
    assert item["Output_Logs"] == "Hello World\n"
    assert item["instance_id"].startswith("i-")


def test_the_papers_two_jobs(seen: Seen) -> None:
    """Of two jobs that say Hello World, the one that waits for Hello EVERYONE fails in the end."""
    assert (seen.jobs["Job2"]["Status"], seen.jobs["Job2"]["Retries"]) == ("Successful", "0 of 0")
    assert (seen.jobs["Job1"]["Status"], seen.jobs["Job1"]["Retries"]) == ("Failed", "1 of 1")
    assert len(seen.jobs["Job1"]["attempts"]) == 2


# --- jobs misjudged -----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ELSEWHERE)
def test_the_success_string_was_looked_for_in_the_whole_answer(seen: Seen, where: str) -> None:
    """Only the job's output counts."""
    item = seen.jobs[f"in {where}"]
    assert item["Status"] == "Failed"
    assert item["reason"] == f"success string {where!r} is not in the output"


def test_the_exit_code_was_not_looked_at(seen: Seen) -> None:
    """The executable's own exit code decides, whatever is done after it."""
    item = seen.jobs["code/run.sh"]
    assert (item["Status"], item["exit_code"]) == ("Failed", 3)
    assert item["reason"].startswith("exit code 3")
    assert seen.objects["code/out.txt"] == b"x\n"


def test_no_execution_timeout_was_set(seen: Seen) -> None:
    """SSM's own hour applies to no job: each command says how long it may run."""
    limits = {int(request["Parameters"]["executionTimeout"][0]) for request in seen.sent}
    assert limits == {7000, 172_800}
    assert {request["TimeoutSeconds"] for request in seen.sent} == {600}  # of the delivery


def test_the_failed_queue_carried_an_envelope(seen: Seen) -> None:
    """The finished and the failed queue carry the job's own JSON, in the original's types."""
    (failed,) = (told for told in seen.failed if told.job_id == "Job1")
    assert failed.job == TWINS[0]
    (finished,) = (told for told in seen.finished if told.job_id == "jobId_0")
    assert finished.job == json.loads(PAPER)


def test_empty_output_and_missing_fields_ended_without_a_record(seen: Seen) -> None:
    """A job that says nothing, and one that leaves out what has a default, are recorded."""
    for name in ("silent", "bare"):
        assert (seen.jobs[name]["Status"], seen.jobs[name]["reason"]) == ("Successful", "confirmed")
    assert "Output_Logs" not in seen.jobs["silent"]


def test_an_unknown_status_was_a_success(seen: Seen) -> None:
    """A command that somebody cancels behind our back is no success: the job runs again."""
    item = seen.jobs["stopped"]
    assert (item["Status"], item["interruptions"], item["failures"]) == ("Successful", 1, 0)


# --- workers ------------------------------------------------------------------------------------


def test_protection_was_never_removed(seen: Seen, _account: tuple[Emulator, Machines]) -> None:
    """A worker is protected while it works, and gone when it has none."""
    assert seen.protected
    assert _account[1].alive(seen.site.group) == []


def test_an_empty_queue_was_an_exception(seen: Seen) -> None:
    """Nothing fails at the end of the work: no function, no execution, no dead letter."""
    failures = seen.site.emulator.hook("functions")["failures"]
    assert not [of for of in failures if of["function"].startswith("original-scheduler-NextJob")]
    assert depth(seen.site, seen.site.queue) == 0


def test_the_first_job_waited_for_the_minute(seen: Seen) -> None:
    """A worker is wanted seconds after the first upload, without the minute's look."""
    assert seen.took_s < 45


def test_capacity_was_the_number_of_visible_messages(
    site: Deployed, machines: Machines, tmp_path: Path
) -> None:
    """A new job beside two that run means three workers; nobody who boots or works is ended."""
    site.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=site.group, MaxSize=3)
    gate = tmp_path / "gate"
    script = f"while [ ! -e {gate} ]; do sleep 0.1; done"
    names = ["busy 1", "busy 2", "new"]
    with as_user(site.emulator), shoal.connect(site.environment) as client:
        client.submit(*({"job_id": name, "commands": [script]} for name in names[:2]))
        wait_for_jobs(site, names[:2], ["Started"])
        assert machines.capacity(site.group) == 2
        client.submit({"job_id": "new", "commands": [script]})
    wait_until(lambda: machines.capacity(site.group) == 3, "three are wanted")
    scale_now(site)
    started = wait_for_jobs(site, names, ["Started"])
    assert len({item["instance_id"] for item in started.values()}) == 3
    scale_now(site)
    assert machines.capacity(site.group) == 3
    gate.touch()
    done = wait_for_jobs(site, names)
    assert {(of["Status"], of["attempt"]) for of in done.values()} == {("Successful", 1)}
    come_to_rest(site, machines, expected="WorkerGone")


# --- files --------------------------------------------------------------------------------------


def test_the_work_folder_was_shared(seen: Seen) -> None:
    """Subfolders, and files without a dot, are results of their job and in the way of no other."""
    assert {"leaks/leak/leak", "leaks/leaked"} <= set(seen.objects)
    assert seen.on_disk == []
