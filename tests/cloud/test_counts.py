"""What a state machine did is counted as AWS would bill it, and held against its limits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from .counts import LARGEST_PAYLOAD_BYTES, MOST_EVENTS, Counts, Moment
from .emulator import Emulator
from .parts import eventually, function, role

CODE = """
import boto3
def handle(event, context):
    if event.get("fail"):
        raise ValueError("as asked")
    if "token" in event:
        states = boto3.client("stepfunctions")
        states.send_task_success(taskToken=event["token"], output="{}")
    return {}
"""


class Machine(NamedTuple):
    """A state machine of two states."""

    emulator: Emulator
    arn: str

    def run(self, **given: Any) -> str:
        """Run it to its end; how it ended."""
        states = self.emulator.client("stepfunctions")
        started = states.start_execution(stateMachineArn=self.arn, input=json.dumps(given))
        arn = started["executionArn"]

        def ended() -> str | None:
            status = str(states.describe_execution(executionArn=arn)["status"])
            return status if status != "RUNNING" else None

        return str(eventually(ended, 30))


@pytest.fixture(scope="module")
def machine(emulator: Emulator) -> Iterator[Machine]:
    """A state that calls a function and tries twice, and one that waits for its token."""
    arn = function(
        emulator,
        "counts-work",
        role(
            emulator,
            "counts-work",
            "lambda",
            [{"Effect": "Allow", "Action": "states:SendTaskSuccess", "Resource": "*"}],
        ),
        CODE,
    )
    may = [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn}]
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "Work",
        "States": {
            "Work": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Arguments": {"FunctionName": arn, "Payload": "{% $states.input %}"},
                "Output": "{% $states.input %}",
                "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1, "IntervalSeconds": 1}],
                "Next": "Wait",
            },
            "Wait": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                "Arguments": {
                    "FunctionName": arn,
                    "Payload": {"token": "{% $states.context.Task.Token %}"},
                },
                "End": True,
            },
        },
    }
    made = emulator.client("stepfunctions").create_state_machine(
        name="counts",
        definition=json.dumps(definition),
        roleArn=role(emulator, "counts-states", "states", may),
    )
    yield Machine(emulator, made["stateMachineArn"])


def test_what_happened_since(machine: Machine) -> None:
    """Counted is what came after the moment, and nothing of what was before."""
    assert machine.run() == "SUCCEEDED"
    moment = Moment(machine.emulator, machine.arn, "counts-")
    assert moment.counts() == Counts()
    assert machine.run() == "SUCCEEDED"
    counts = moment.counts()
    assert (counts.transitions, counts.retries) == (2, 0)
    # Started, Succeeded; entered, scheduled, started, succeeded, exited; the same and submitted.
    assert counts.events == counts.most_events == 2 + 5 + 6
    assert counts.executions == {"SUCCEEDED": 1}
    assert counts.calls == {"work": 2}
    assert counts.errors == Counter()


def test_a_retry_is_a_transition(machine: Machine) -> None:
    """Each retry costs what a state costs; failed calls are told apart."""
    moment = Moment(machine.emulator, machine.arn, "counts-")
    assert machine.run(fail=True) == "FAILED"
    counts = moment.counts()
    assert (counts.transitions, counts.retries) == (2, 1)
    assert counts.executions == {"FAILED": 1}
    assert (counts.calls, counts.errors) == ({"work": 2}, {"work": 2})


def test_limits(machine: Machine) -> None:
    """A payload over AWS's limit is named; the emulator lets it pass."""
    moment = Moment(machine.emulator, machine.arn)
    assert machine.run(text="x" * 1000) == "SUCCEEDED"
    counts = moment.counts()
    assert 1000 < counts.largest_payload_bytes < 1100
    assert counts.over_limits() == []
    large = Counts(most_events=MOST_EVENTS + 1, largest_payload_bytes=LARGEST_PAYLOAD_BYTES + 1)
    assert len(large.over_limits()) == 2


def test_the_table(machine: Machine) -> None:
    """All counts are on one screen, in total and per job."""
    moment = Moment(machine.emulator, machine.arn, "counts-")
    machine.run()
    machine.run(fail=True)
    table = moment.counts().table(jobs=2)
    print(f"\n{table}")
    lines = {line[:18].strip(): line[18:].split() for line in table.splitlines()}
    assert lines["state transitions"][:2] == ["4", "2.00"]
    assert lines["work"][:2] == ["4", "2.00"]
    assert max(len(line) for line in table.splitlines()) <= 100
