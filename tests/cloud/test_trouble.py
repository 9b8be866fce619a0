"""AWS itself in trouble: a tenth of all calls between the functions and the services goes wrong."""

from __future__ import annotations

from collections import Counter

import pytest

from .emulator import Emulator
from .faults import FAILED, LOST, RESET, THROTTLED, Plan
from .machines import Machines
from .stacks import deploy
from .watching import PARAMETERS, Watched

FOLDERS, DIRECT = 20, 20


@pytest.mark.timeout(400)
def test_faults_change_no_outcome(
    emulator: Emulator, machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    """Throttles, errors, broken connections and lost answers at 10 %: each job is settled once.

    Jobs may move to other workers on the way; none fails, none is lost, none is charged.
    """
    fleet = Watched(deploy(emulator, "storm", None, PARAMETERS | {"TimeoutJob": "10"}), machines)
    # A message whose delivery got lost stays hidden for as long as a function may run with it.
    sqs = fleet.stacks.client("sqs")
    for queue, seconds in ((fleet.stacks.queue, "20"), ("storm-intake", "70")):
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": seconds})
    jobs = FOLDERS + DIRECT
    with emulator.faults(Plan(rate=0.1)) as faults:
        for number in range(FOLDERS):
            fleet.put(f"storm/{number}/input.txt", f"job {number}\n")
            fleet.put(f"storm/{number}/run.sh", "#!/bin/sh\ncp input.txt output.txt\n")
        for number in range(DIRECT):
            fleet.send({"job_id": f"direct {number}", "commands": ["echo hello"]})
        fleet.until(
            lambda: fleet.statuses() == {"Successful": jobs}, 300, "all Successful despite faults"
        )
        injected = faults.kinds()
        with capsys.disabled():
            print(f"\n{faults.table()}")
    fleet.until_quiet(120)

    assert all(injected[kind] >= 5 for kind in (THROTTLED, FAILED, RESET, LOST))
    assert all(item["failures"]["N"] == "0" for item in fleet.items())
    assert {item["run"]["N"] for item in fleet.items()} == {"1"}
    for number in range(FOLDERS):
        assert fleet.body(f"storm/{number}/output.txt") == f"job {number}\n".encode()
    told = Counter(job["job_id"] for job in fleet.drain_jobs("-finished"))
    # A lost answer from SQS makes a line come twice; none is missing, and none is a stranger.
    assert len(told) == jobs
    assert fleet.drain_jobs("-failed") == []
    settled = Counter(line.job_id for line in fleet.settlements())
    assert settled == dict.fromkeys(told, 1)
