"""Whether IAM allows a call that the stand-in received: the emulator's own policies decide."""

from __future__ import annotations

import re
from typing import Any

from ..emulator import ACCOUNT, REGION, Emulator

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/")


class ApiError(Exception):
    """An error that the stand-in answers, with AWS's code and status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def check(action: str, resource: str = "*", tags: dict[str, str] | None = None) -> dict[str, Any]:
    """One permission that a call needs; `tags` are those of the resource."""
    prefix = action.split(":")[0]
    context: dict[str, str] = {}
    for key, value in (tags or {}).items():
        context[f"aws:ResourceTag/{key}"] = value
        context[f"{prefix}:resourceTag/{key}"] = value
    return {"action": action, "resource": resource, "context": context}


def instance_arn(instance_id: str) -> str:
    """The ARN of an EC2 instance."""
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance_id}"


def authorize(emulator: Emulator, authorization: str, checks: list[dict[str, Any]]) -> None:
    """Raise ApiError unless the caller may do all of it."""
    found = _CREDENTIAL.search(authorization)
    if found is None:
        raise ApiError("MissingAuthenticationToken", "the request is not signed", 403)
    allow(emulator, found[1], checks)


def allow(emulator: Emulator, access_key: str, checks: list[dict[str, Any]]) -> None:
    """Raise ApiError unless whoever has the key may do all of it."""
    body = {"access_key": access_key, "region": REGION, "checks": checks}
    refused = emulator.hook("authorize", body)
    if refused:
        raise ApiError(refused["code"], refused["message"], 403)
