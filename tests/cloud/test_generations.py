"""More jobs than one execution can take: the scheduler goes on in its next generation."""

from __future__ import annotations

import pytest

from .counts import Moment
from .emulator import Emulator
from .machines import Machines
from .stacks import deploy
from .watching import PARAMETERS, Watched

JOBS = 1_100


@pytest.mark.timeout(900)
def test_a_worker_outlives_an_execution(
    emulator: Emulator, machines: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    """1,100 jobs through one worker: three executions one after the other, none near its limit."""
    parameters = PARAMETERS | {"MaxInstancesAllowed": "1", "LiveLogs": "false"}
    fleet = Watched(deploy(emulator, "steady", None, parameters), machines)
    moment = Moment(emulator, fleet.stacks.state_machine, "steady-")
    sqs = fleet.stacks.client("sqs")
    url = sqs.get_queue_url(QueueName=fleet.stacks.queue)["QueueUrl"]
    for start in range(0, JOBS, 10):
        entries = [
            {"Id": str(number), "MessageBody": f'{{"job_id": "{number}", "commands": ["true"]}}'}
            for number in range(start, start + 10)
        ]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    sqs.send_message(
        QueueUrl=sqs.get_queue_url(QueueName="steady-scale")["QueueUrl"], MessageBody="{}"
    )

    assert fleet.until_over(JOBS, 800) == {"Successful": JOBS}

    counts = moment.counts()
    with capsys.disabled():
        print(f"\n{JOBS} quick jobs through one worker\n{counts.table(JOBS)}")
    assert len(machines.sent()) == JOBS
    assert len({command.machine.instance_id for command in machines.sent()}) == 1
    assert counts.executions == {"SUCCEEDED": 3}
    assert counts.over_limits() == []
    assert counts.most_events < 10_000
    assert counts.transitions / JOBS <= 3.1
    assert len(fleet.drain_jobs("-finished")) == JOBS
