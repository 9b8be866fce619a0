"""What tests make in the account besides stacks: roles, functions and state machines."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from .emulator import Emulator
from .machines import Machine

BUCKET = "harness-000000000000-files"
LOGS = "/harness/live"
GROUP = "harness-group"
"""What the fixture `grouped` makes."""

CALLER = '''\
import boto3
from botocore.config import Config

def handle(event, context):
    """Make one call as often as is asked for; the codes of the errors."""
    retries = {"mode": "standard", "total_max_attempts": event.get("attempts", 7)}
    config = Config(read_timeout=event.get("patience_s", 10), retries=retries)
    client = boto3.client(event["service"], config=config)
    errors = []
    for _ in range(event.get("times", 1)):
        try:
            answer = getattr(client, event["call"])(**event["arguments"])
            if "Body" in answer:
                answer["Body"].read()
        except client.exceptions.ClientError as error:
            errors.append(error.response["Error"]["Code"])
    return errors
'''
"""A function that makes any call, and makes it again as our own functions do."""


def eventually(met: Callable[[], Any], within_s: float = 10.0) -> Any:
    """What `met` returns once that is true."""
    deadline = time.monotonic() + within_s
    while not (found := met()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.01)
    return found


def role(emulator: Emulator, name: str, service: str, statements: list[dict[str, Any]]) -> str:
    """A role that a service may take on, with one inline policy; its ARN."""
    iam = emulator.client("iam")
    trust = {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": f"{service}.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ]
    }
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    if statements:
        may(emulator, name, statements)
    return str(arn)


def may(emulator: Emulator, role_name: str, statements: list[dict[str, Any]]) -> None:
    """Let a role do this and nothing else."""
    emulator.client("iam").put_role_policy(
        RoleName=role_name,
        PolicyName="what-it-may",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}),
    )


def function(emulator: Emulator, name: str, role_arn: str, code: str, timeout_s: int = 30) -> str:
    """A function; its ARN."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("main.py", code)
    made = emulator.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role_arn,
        Handler="main.handle",
        Code={"ZipFile": file.getvalue()},
        Timeout=timeout_s,
    )
    return str(made["FunctionArn"])


def call(emulator: Emulator, name: str, event: dict[str, Any]) -> Any:
    """What a function returns; what it raises fails the test."""
    answer = emulator.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    found = json.load(answer["Payload"])
    assert "FunctionError" not in answer, found
    return found


def send(emulator: Emulator, machine: Machine, *lines: str, **more: Any) -> str:
    """Send a script; the command's id."""
    parameters = {"commands": list(lines)} | more.pop("parameters", {})
    sent = emulator.client("ssm").send_command(
        InstanceIds=[machine.instance_id],
        DocumentName="AWS-RunShellScript",
        Parameters=parameters,
        **more,
    )
    return str(sent["Command"]["CommandId"])


def ended(emulator: Emulator, machine: Machine, command_id: str) -> dict[str, Any]:
    """A command's end, as the API tells it."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = emulator.client("ssm").get_command_invocation(
            CommandId=command_id, InstanceId=machine.instance_id
        )
        return found if found["Status"] not in ("Pending", "InProgress", "Cancelling") else None

    found: dict[str, Any] = eventually(look)
    return found


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    """The code of the error that a call ends in."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])
