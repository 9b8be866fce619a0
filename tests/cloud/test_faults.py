"""Faults happen where and as they are asked for, and a client that repeats its calls gets by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .emulator import Emulator
from .faults import ERRORS, FAILED, LOST, RESET, THROTTLED, TIMEOUT, Plan, error, lose_answer
from .machines import Machines
from .parts import CALLER, call, function, role

BUCKET, TABLE, QUEUE, NAME = "faults-000000000000-files", "faults-table", "faults-queue", "faults"
EVERYTHING = [
    {
        "Effect": "Allow",
        "Action": ["dynamodb:*", "sqs:*", "s3:*", "states:*", "ssm:*", "autoscaling:*"],
        "Resource": "*",
    }
]
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "dynamodb": ("list_tables", {}),
    "sqs": ("list_queues", {}),
    "stepfunctions": ("list_state_machines", {}),
    "s3": ("list_objects_v2", {"Bucket": BUCKET}),
    "ssm": ("describe_instance_information", {}),
    "autoscaling": ("describe_auto_scaling_groups", {}),
}


@pytest.fixture(scope="module")
def account(emulator: Emulator) -> Iterator[Emulator]:
    """An account with a table, a queue, a bucket and a function that calls what it is told."""
    emulator.client("s3").create_bucket(Bucket=BUCKET)
    emulator.client("sqs").create_queue(QueueName=QUEUE)
    emulator.client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    function(emulator, NAME, role(emulator, NAME, "lambda", EVERYTHING), CALLER, timeout_s=120)
    yield emulator


@pytest.mark.parametrize("kind", [THROTTLED, FAILED])
def test_errors_are_the_services_own(account: Emulator, machines: Machines, kind: str) -> None:
    """Each service says in its own words that it is busy or broken; clients understand, and repeat.

    Without a repetition the caller gets the code that AWS would send.
    """
    names = ("autoscaling", "dynamodb", "s3", "sqs", "ssm", "stepfunctions")
    once = tuple(
        (kind, {"service": name, "times": 2, "error": error(kind, ERRORS[name])}) for name in names
    )
    with account.faults(Plan(rate=0, first=once)) as faults:
        for name, (method, arguments) in CALLS.items():
            event = {"service": name, "call": method, "arguments": arguments, "attempts": 2}
            code = ERRORS[name][0 if kind == THROTTLED else 1]
            # Twice, as often as the client tries; then it works.
            assert call(account, NAME, event) == [code]
            assert call(account, NAME, event) == []
        injected = faults.injected()
    found = {name.split()[1].split(":")[0]: count for name, count in injected.items()}
    assert found == dict.fromkeys(names, 2)


def test_some_are_injured_and_repeated(account: Emulator) -> None:
    """Faults of all kinds happen at the rate that was asked for; every call succeeds in the end."""
    with account.faults(Plan(rate=0.25)) as faults:
        for name, (method, arguments) in CALLS.items():
            event = {"service": name, "call": method, "arguments": arguments, "times": 6}
            assert call(account, NAME, event) == []
        print(faults.table())
        kinds, requests = faults.kinds(), faults.requests()
    assert requests.total() == 36 + kinds.total()
    assert 0.1 < kinds.total() / requests.total() < 0.45
    assert set(kinds) == {THROTTLED, FAILED, RESET, LOST}
    assert {action.split(":")[0] for action in requests} == set(CALLS)


def test_a_lost_answer_is_of_a_request_that_was_carried_out(account: Emulator) -> None:
    """A repeated conditional write meets itself; a repeated message is there twice."""
    plan = Plan(
        rate=0, first=(lose_answer("dynamodb", "PutItem"), lose_answer("sqs", "SendMessage"))
    )
    url = account.client("sqs").get_queue_url(QueueName=QUEUE)["QueueUrl"]
    with account.faults(plan) as faults:
        put = {
            "TableName": TABLE,
            "Item": {"id": {"S": "a"}},
            "ConditionExpression": "attribute_not_exists(id)",
        }
        event = {"service": "dynamodb", "call": "put_item", "arguments": put}
        assert call(account, NAME, event) == ["ConditionalCheckFailedException"]
        sent = {"QueueUrl": url, "MessageBody": "once"}
        assert (
            call(account, NAME, {"service": "sqs", "call": "send_message", "arguments": sent}) == []
        )
        assert faults.injected() == {"lost dynamodb:PutItem": 1, "lost sqs:SendMessage": 1}
    received = account.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    assert [message["Body"] for message in received["Messages"]] == ["once", "once"]


def test_a_timeout_lasts_longer_than_a_callers_patience(account: Emulator) -> None:
    """A request that is held is given up and sent again; it never reached its service."""
    held = (TIMEOUT, {"service": "dynamodb", "times": 1, "timeout_ms": 2_000})
    put = {"TableName": TABLE, "Item": {"id": {"S": "b"}}}
    put["ConditionExpression"] = "attribute_not_exists(id)"
    with account.faults(Plan(rate=0, first=(held,))) as faults:
        event = {"service": "dynamodb", "call": "put_item", "arguments": put, "patience_s": 1}
        assert call(account, NAME, event) == []
        assert faults.kinds() == {TIMEOUT: 1}
        assert faults.requests() == {"dynamodb:PutItem": 2}


def test_what_is_spared_meets_no_fault(account: Emulator) -> None:
    """Actions can be left out; the others' faults go on."""
    with account.faults(Plan(rate=1, shares=((RESET, 1.0),), spared=["sqs:ListQueues"])) as faults:
        event = {"service": "sqs", "call": "list_queues", "arguments": {}, "times": 5}
        assert call(account, NAME, event) == []
        assert faults.injected() == {}
        assert faults.requests() == {"sqs:ListQueues": 5}


def test_objects_of_all_sizes_pass(account: Emulator) -> None:
    """Uploads and downloads pass whole, empty and large ones; so does a HEAD of them."""
    s3 = account.client("s3")
    with account.faults(Plan(rate=0)) as faults:
        through = account.session_client("s3", url=faults.environment["AWS_ENDPOINT_URL"])
        for size in (0, 1, 3_000_000):
            body = bytes(size % 251 for _ in range(size))
            through.put_object(Bucket=BUCKET, Key=f"{size}", Body=body)
            assert s3.get_object(Bucket=BUCKET, Key=f"{size}")["Body"].read() == body
            assert through.get_object(Bucket=BUCKET, Key=f"{size}")["Body"].read() == body
            assert through.head_object(Bucket=BUCKET, Key=f"{size}")["ContentLength"] == size
        through.close()


def test_functions_go_straight_again_afterwards(account: Emulator) -> None:
    """When the faults are over nothing goes through the proxies."""
    with account.faults(Plan(rate=1, shares=((RESET, 1.0),))):
        pass
    for name, (method, arguments) in CALLS.items():
        event = {"service": name, "call": method, "arguments": arguments}
        assert call(account, NAME, event) == []
