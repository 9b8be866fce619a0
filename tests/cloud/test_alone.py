"""Part 1 by itself: machines launched by hand, one's own queues, and two fleets that share it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import shoal
from shoal.core.errors import JobNotFound

from .emulator import Emulator
from .machines import Machines
from .stacks import Deployed, as_user, deploy
from .support import (
    PARAMETERS,
    come_to_rest,
    drain,
    executions,
    job,
    jobs,
    objects,
    put_folder,
    put_out,
    send,
    standing,
    wait_for_jobs,
    wait_until,
)

NAME = "alone"


@pytest.fixture(scope="module")
def site(emulator: Emulator) -> Iterator[Deployed]:
    """A scheduler without a fleet."""
    wanted = {"IdleSeconds": "1", "LiveLogs": "false"}
    with standing(emulator, NAME, "scheduler", wanted) as stands:
        yield stands


def launch(site: Deployed, tags: dict[str, str]) -> str:
    """Launch an instance as a person does, with the profile that the stack offers."""
    (stack,) = site.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
    outputs = {of["OutputKey"]: of["OutputValue"] for of in stack["Outputs"]}
    specification = [
        {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
    ]
    launched = site.client("ec2").run_instances(
        ImageId="ami-12345678",
        InstanceType="c7g.large",
        MinCount=1,
        MaxCount=1,
        IamInstanceProfile={"Name": outputs["InstanceProfileForEC2Workers"]},
        **({"TagSpecifications": specification} if tags else {}),
    )
    return str(launched["Instances"][0]["InstanceId"])


def direct(job_id: str, *commands: str) -> dict[str, Any]:
    """A job as the original's users write it."""
    return {
        "job_id": job_id,
        "retry": "3",
        "job_success_string": " ",
        "ssm_document": "AWS-RunShellScript",
        "commands": list(commands or ["echo Hello World"]),
    }


# --- machines launched by hand ------------------------------------------------------------------


@dataclass
class Seen:
    """What came of instances with tags of all kinds, while each event came twice."""

    site: Deployed
    jobs: dict[str, dict[str, Any]]
    told: dict[str, list[str | None]]
    schedulers: list[str]
    workers: dict[str, str]
    others: list[str]
    still_alive: list[str]
    commands_on_others: int


@pytest.fixture(scope="module")
def seen(site: Deployed, _account: tuple[Emulator, Machines]) -> Iterator[Seen]:
    """Two workers, on two queues, and machines that are none of the scheduler's business."""
    _, machines = _account
    machines.reset()
    machines.duplicate_events = True
    sqs = site.client("sqs")
    mine = f"mine-{uuid.uuid4().hex[:6]}"
    for suffix in ("", "-finished", "-failed"):
        sqs.create_queue(QueueName=f"{mine}{suffix}")
    send(site, direct("a"), direct("b"), direct("c", "echo oh; exit 4") | {"retry": 0})
    send(site, direct("d"), queue=mine)
    others = [
        launch(site, tags)
        for tags in (
            {},
            {f"my-{NAME}": site.queue},
            {f"{NAME}-two": site.queue},
            {NAME.upper(): site.queue},
            {"Name": NAME},
        )
    ]
    workers = {queue: launch(site, {NAME: queue}) for queue in (site.queue, mine)}
    items = wait_for_jobs(site, "abcd")
    come_to_rest(site, machines)
    yield Seen(
        site,
        items,
        {
            of: [told.job_id for told in drain(site, of)]
            for queue in (site.queue, mine)
            for of in (f"{queue}-finished", f"{queue}-failed")
        },
        executions(site, "SUCCEEDED"),
        workers,
        others,
        [machine.instance_id for machine in machines.alive()],
        sum(invocation.machine.instance_id in others for invocation in machines.sent()),
    )
    machines.reset()


def test_a_tagged_machine_gets_a_scheduler(seen: Seen) -> None:
    """However it was launched, it runs the jobs of its queue, in the original's JSON."""
    worker = seen.workers[seen.site.queue]
    found = {name: (seen.jobs[name]["Status"], seen.jobs[name]["instance_id"]) for name in "abc"}
    assert found == {
        "a": ("Successful", worker),
        "b": ("Successful", worker),
        "c": ("Failed", worker),
    }
    assert sorted(map(str, seen.told[f"{seen.site.queue}-finished"])) == ["a", "b"]
    assert seen.told[f"{seen.site.queue}-failed"] == ["c"]


def test_the_tag_names_the_queue(seen: Seen) -> None:
    """One's own queue needs only its name as the tag's value, and a finished and failed queue."""
    (mine,) = (queue for queue in seen.workers if queue != seen.site.queue)
    item = seen.jobs["d"]
    assert (item["Status"], item["instance_id"]) == ("Successful", seen.workers[mine])
    assert seen.told[f"{mine}-finished"] == ["d"]
    assert seen.told[f"{mine}-failed"] == []


def test_a_machine_without_work_is_ended(seen: Seen) -> None:
    """It is terminated when its queue is empty, in no group as in one."""
    assert not set(seen.workers.values()) & set(seen.still_alive)


def test_the_tag_has_to_match_exactly(seen: Seen) -> None:
    """Untagged machines, and those whose tag only looks alike, are left alone; nothing fails."""
    assert sorted(seen.others) == sorted(seen.still_alive)
    assert seen.commands_on_others == 0


def test_a_second_event_gives_no_second_scheduler(seen: Seen) -> None:
    """Each event came twice, and each worker had one scheduler."""
    assert sorted(seen.schedulers) == sorted(f"{worker}-1" for worker in seen.workers.values())


# --- two fleets ---------------------------------------------------------------------------------


def test_fleets_share_a_scheduler(site: Deployed, machines: Machines) -> None:
    """Jobs of one id in two buckets: the first has it, the other is told why not, and when.

    The table has one item a job id, as the original's. So nobody runs the other's folder, or
    settles or changes the other's job; and each can use an id that is free again.
    """
    wanted = {
        name: value for name, value in PARAMETERS.items() if name not in ("IdleSeconds", "LiveLogs")
    }
    fleets = [
        deploy(site.emulator, f"alone-{name}", "fleet", {**wanted, "TagKey": NAME}) for name in "xy"
    ]
    gate = machines.folder / f"gate-{uuid.uuid4().hex}"
    first, second = fleets
    script = f"while [ ! -e {gate} ]; do sleep 0.1; done; cat in.txt >out.txt"
    put_folder(first, "same", {"run.sh": script}, **{"in.txt": "of the first"})
    wait_for_jobs(first, ["same/run.sh"], ["Started"])
    for fleet in fleets:
        put_folder(fleet, f"own-{fleet.fleet}", {"run.sh": "true"})
    put_folder(second, "same", {"run.sh": script}, **{"in.txt": "of the second"})
    failed = wait_until(lambda: drain(second, f"{second.queue}-failed"), "the refusal")
    assert [told.job for told in failed] == [{"refused": "same/run.sh"}]
    assert failed[0].reason.startswith(f"job 'same/run.sh' is Started in queue {first.queue}: ")
    with as_user(site.emulator), shoal.connect(second.environment) as client:
        for touch in (client.cancel, client.retry, client.job):
            with pytest.raises(JobNotFound):
                touch("same/run.sh")
    gate.touch()
    wait_for_jobs(site, ["same/run.sh", *(f"own-{fleet.fleet}/run.sh" for fleet in fleets)])
    put_folder(second, "same", {"run.sh": script})
    wait_until(
        lambda: job(site, "same/run.sh")["Status"] == "Successful" and objects(second, "same/out"),
        "the second fleet's run",
    )
    for fleet in fleets:
        come_to_rest(fleet, machines)
        assert drain(fleet, f"{fleet.queue}-failed") == []
        assert f"own-{fleet.fleet}/out.txt" not in objects(fleet)
    assert objects(first, "same/out") == {"same/out.txt": b"of the first"}
    assert objects(second, "same/out") == {"same/out.txt": b"of the second"}
    assert {item["Status"] for item in jobs(site).values()} == {"Successful", "Failed"}
    told = [[of.job_id for of in drain(fleet, f"{fleet.queue}-finished")] for fleet in fleets]
    assert [sorted(map(str, names)) for names in told] == [
        ["own-alone-x/run.sh", "same/run.sh"],
        ["own-alone-y/run.sh", "same/run.sh"],
    ]
    gate.unlink()
    put_out(site.emulator, *(fleet.fleet for fleet in fleets))
    assert json.loads(job(site, "same/run.sh")["spec"])["folder"] == "same"
