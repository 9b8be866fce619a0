"""Jobs sent straight to the queue: each key of the JSON, and messages that are no jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

import shoal
from shoal.core.errors import SpecError

from .emulator import Emulator
from .machines import Machine, Machines
from .parts import refusal
from .stacks import Deployed, as_user
from .support import (
    PARAMETERS,
    Told,
    come_to_rest,
    depth,
    drain,
    objects,
    put_folder,
    queue_url,
    scale_now,
    send,
    standing,
    wait_for_jobs,
)

DIRECT: list[dict[str, Any]] = [
    {"job_id": "no document", "ssm_document": "No-Such-Document", "retry": 3},
    {
        "job_id": "own document",
        "ssm_document": "Acme-Simulate",
        "parameters": {"Corner": ["tt", "$(touch x)"], "commands": []},
        "job_success_string": "simulated tt $(touch x)",
    },
    {
        "job_id": "made",
        "commands": ["mkdir out", "echo 1 >out/a.dat"],
        "required_files": ["out/a.dat"],
    },
    {"job_id": "not made", "commands": ["true"], "required_files": ["out/a.dat", "b"]},
    {
        "job_id": "variables",
        "commands": ['printf "%s\\n" "$PLACE" "$SHOAL_JOB_ID $SHOAL_RUN.$SHOAL_ATTEMPT"'],
        "environment": {"PLACE": "a 'b' $(c) {{ d }} \u00fc"},
        "job_success_string": "a 'b' $(c) {{ d }} \u00fc\nvariables 1.1\n",
    },
    {"job_id": "late", "commands": ["echo going; sleep 4321.5"], "timeout": 1.5},
    {
        "job_id": "third time lucky",
        "retry": "2",
        "commands": ['echo "try $SHOAL_ATTEMPT"; [ "$SHOAL_ATTEMPT" = 3 ]'],
    },
    {"job_id": "in the bucket", "folder": "shelf", "commands": ["cat in.txt >out.txt"]},
    {"job_id": "long script", "commands": ["echo " + "x" * 90_000]},
    {"job_id": "after all", "commands": ["echo well"]},
]

BAD = {
    "this is no JSON": "is not valid JSON",
    '{"job_id": "cut", "comm': "is not valid JSON",
    '["job_id"]': "not usable: expected `object`",
    '"job_id"': "not usable: expected `object`",
    "null": "not usable: expected `object`",
    "[" * 5_000: "not usable: expected `object`",
    '{"job_id": "typo", "comands": ["true"], "x": 1}': "unknown keys in job 'typo': 'comands', 'x'",
    '{"job_id": 7, "commands": ["true"]}': "expected `str`, got `int` - at `$.job_id`",
    '{"job_id": "text", "commands": "true"}': "expected `array`",
    '{"job_id": "many", "commands": ["true"], "retry": "many"}': "$.retry",
    '{"job_id": "none"}': "neither commands nor an executable",
    '{"job_id": "up", "commands": ["true"], "folder": "a/../b"}': "'..' part",
    '{"job_id": "", "commands": ["true"]}': "job_id is empty",
    '{"ticket": 5}': "unknown key: 'ticket'",
    json.dumps({"job_id": "heavy", "commands": ["x" * 240_000]}): "100,000 are the most",
}


@dataclass
class Seen:
    """What came of all messages."""

    site: Deployed
    jobs: dict[str, dict[str, Any]]
    objects: dict[str, bytes]
    finished: list[Told]
    failed: list[Told]
    left: int

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        """The attempts of a job, from its item."""
        return [json.loads(value)[0] for value in self.jobs[job_id]["attempts"]]


def _simulate(_: Machine, parameters: dict[str, list[str]]) -> list[str]:
    return ["sh", "-c", 'echo "simulated $*"', "simulate", *parameters["Corner"]]


@pytest.fixture(scope="module")
def seen(_account: tuple[Emulator, Machines]) -> Iterator[Seen]:
    """All messages together, and two workers."""
    emulator, machines = _account
    machines.reset()
    machines.register_document("Acme-Simulate", _simulate)
    wanted = {**PARAMETERS, "MaxInstancesAllowed": "2", "LiveLogs": "false"}
    with standing(emulator, "messages", None, wanted) as site:
        put_folder(site, "shelf", {}, **{"in.txt": "from the shelf"})
        send(site, DIRECT[0], *BAD, '{"ticket": "nobody"}', *DIRECT[1:])
        scale_now(site)
        items = wait_for_jobs(site, [job["job_id"] for job in DIRECT])
        come_to_rest(site, machines)
        yield Seen(
            site,
            items,
            objects(site, "shelf/"),
            drain(site, f"{site.queue}-finished"),
            drain(site, f"{site.queue}-failed"),
            depth(site, site.queue),
        )
    machines.reset()


# --- what is no job -----------------------------------------------------------------------------


@pytest.mark.parametrize("body", BAD, ids=lambda body: body[:30])
def test_a_message_that_is_no_job(seen: Seen, body: str) -> None:
    """It goes to the failed queue as it came, once, with the reason."""
    (told,) = (of for of in seen.failed if of.body == body)
    assert BAD[body] in told.reason


def test_bad_messages_do_not_come_back(seen: Seen) -> None:
    """Each is received once: neither they nor a ticket for nobody stay on the queue."""
    assert seen.left == 0
    events = {told.body for told in seen.failed if told.body in BAD}
    assert len(events) == len(BAD)
    assert '{"ticket": "nobody"}' not in {told.body for told in seen.failed}


def test_a_message_of_300_kb(seen: Seen) -> None:
    """The queue takes no message that a state or an item could not hold."""
    call = seen.site.client("sqs").send_message
    body = json.dumps({"job_id": "huge", "commands": ["x" * 300_000]})
    url = queue_url(seen.site, seen.site.queue)
    assert refusal(call, QueueUrl=url, MessageBody=body) == "InvalidParameterValue"


def test_a_job_of_300_kb_through_the_client(seen: Seen) -> None:
    """The client says how much is too much, and what to do; no job is there."""
    with as_user(seen.site.emulator), shoal.connect(seen.site.environment) as client:
        with pytest.raises(SpecError, match=r"300,.* bytes of JSON.*100,000 are the most.*file"):
            client.submit({"job_id": "huge", "commands": ["x" * 300_000]})
        assert client.jobs("huge") == []


# --- documents ----------------------------------------------------------------------------------


def test_an_unknown_document(seen: Seen) -> None:
    """The job is Failed at once, with SSM's reason: running it again would not help."""
    item = seen.jobs["no document"]
    assert (item["Status"], len(seen.attempts("no document"))) == ("Failed", 1)
    assert item["reason"].startswith("SSM refuses it: InvalidDocument")
    (told,) = (of for of in seen.failed if of.job_id == "no document")
    assert told.reason == item["reason"]


def test_a_refused_job_costs_no_worker(seen: Seen) -> None:
    """The worker goes on with the next job."""
    (refused,) = seen.attempts("no document")
    later = [
        attempt
        for name in seen.jobs
        for attempt in seen.attempts(name)
        if attempt["worker"] == refused["worker"] and attempt["started_at"] >= refused["ended_at"]
    ]
    assert later


def test_a_document_of_ones_own(seen: Seen) -> None:
    """Any SSM document runs, with the parameters of the job as they are."""
    item = seen.jobs["own document"]
    assert (item["Status"], item["SSM_Document"]) == ("Successful", "Acme-Simulate")
    assert "simulated tt $(touch x)" in item["Output_Logs"]


def test_a_script_that_ssm_would_not_take(seen: Seen) -> None:
    """Commands beyond SSM's limit fail with the limit and the way round it."""
    item = seen.jobs["long script"]
    assert item["Status"] == "Failed"
    assert "SSM takes at most 60,000 bytes" in item["reason"]


# --- keys of a job ------------------------------------------------------------------------------


def test_required_files(seen: Seen) -> None:
    """They are looked for where the job ran; the reason names those that are missing."""
    assert seen.jobs["made"]["Status"] == "Successful"
    assert seen.jobs["not made"]["Status"] == "Failed"
    assert seen.jobs["not made"]["reason"] == "required file missing: out/a.dat, b"


def test_environment(seen: Seen) -> None:
    """Variables reach the job as they are, beside those that name job, run and attempt."""
    assert seen.jobs["variables"]["Status"] == "Successful"


def test_timeout(seen: Seen) -> None:
    """An attempt is killed at its time, with all it has started, and the reason says so."""
    item = seen.jobs["late"]
    assert (item["Status"], item["reason"]) == ("Failed", "timed out after 1.5 s")
    assert item["Output_Logs"].startswith("going")
    (attempt,) = seen.attempts("late")
    assert attempt["ended_at"] - attempt["started_at"] < 60
    assert not [of for of in psutil.process_iter(["cmdline"]) if "4321.5" in str(of.info)]


def test_retries_back_off(seen: Seen) -> None:
    """A failed attempt is followed by another after a wait that doubles, less up to a half."""
    item = seen.jobs["third time lucky"]
    assert (item["Status"], item["Retries"]) == ("Successful", "2 of 2")
    first, second, third = seen.attempts("third time lucky")
    assert second["started_at"] - first["ended_at"] >= 0.5
    assert third["started_at"] - second["ended_at"] >= 1.0
    assert [of["exit_code"] for of in (first, second, third)] == [1, 1, 0]


def test_a_folder_of_the_bucket(seen: Seen) -> None:
    """Commands can run in a job folder that has no executable."""
    assert seen.jobs["in the bucket"]["Status"] == "Successful"
    assert seen.objects["shelf/out.txt"] == b"from the shelf"


def test_the_queues_tell_each_job_once(seen: Seen) -> None:
    """What was Successful is on the finished queue, what Failed on the failed one, as JSON."""
    told = {"Successful": seen.finished, "Failed": [of for of in seen.failed if of.job_id]}
    for status, messages in told.items():
        expected = sorted(name for name, item in seen.jobs.items() if item["Status"] == status)
        assert sorted(of.job_id for of in messages if of.job_id in seen.jobs) == expected
