"""Task tokens: how a function wakes the scheduler that waits for an attempt."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from shoal.aws.functions.wiring import client

OVER = ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken")
"""Nobody waits any more: the scheduler has looked for itself, or was told before."""


def succeed(task_token: str, report: dict[str, Any]) -> bool:
    """Tell a scheduler that its attempt has ended; whether it was still waiting."""
    return _send(client("stepfunctions").send_task_success, task_token, output=json.dumps(report))


def fail(task_token: str, error: str, cause: str) -> bool:
    """Tell a scheduler that its worker goes away; whether it was still waiting."""
    send = client("stepfunctions").send_task_failure
    return _send(send, task_token, error=error, cause=cause)


def _send(call: Any, task_token: str, **arguments: str) -> bool:
    try:
        call(taskToken=task_token, **arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] not in OVER:
            raise
        return False
    return True
