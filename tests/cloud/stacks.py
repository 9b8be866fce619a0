"""Shoal's own stacks in the emulated account, deployed from `infra/` as they are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from shoal.aws import names
from shoal.aws.account import open_account
from shoal.aws.deploy import Deployment
from shoal.aws.stacks.plan import plan
from shoal.aws.stacks.templates import Part, read_templates

from .emulator import Emulator

ACCOUNT = "000000000000"


@contextmanager
def as_user(emulator: Emulator) -> Iterator[None]:
    """Inside, this process uses the emulated account as a user's would."""
    with mock.patch.dict(os.environ, emulator.session_env()):
        yield


@dataclass(frozen=True)
class Deployed:
    """Stacks that are there.

    Args:
        emulator: where.
        scheduler: the stack of part 1.
        fleet: the stack of part 2; for a scheduler alone its own name.
    """

    emulator: Emulator
    scheduler: str
    fleet: str

    @property
    def queue(self) -> str:
        """The job queue."""
        return names.default_queue(self.fleet)

    @property
    def bucket(self) -> str:
        """The drop bucket."""
        return names.drop_bucket(self.fleet, ACCOUNT)

    @property
    def group(self) -> str:
        """The Auto Scaling group."""
        return f"{self.fleet}-autoscaling-group"

    @property
    def environment(self) -> str:
        """What the command line calls it."""
        return f"aws:{self.fleet}"

    @property
    def state_machine(self) -> str:
        """The ARN of the scheduler."""
        name = names.state_machine(self.scheduler)
        return f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:{name}"

    def client(self, service: str) -> Any:
        """An administrator's client."""
        return self.emulator.client(service)

    @contextmanager
    def unswept(self) -> Iterator[None]:
        """Inside, the minute's sweep does not come by itself."""
        events = self.client("events")
        (rule,) = events.list_rules(NamePrefix=f"{self.scheduler}-Sweep")["Rules"]
        events.disable_rule(Name=rule["Name"])
        try:
            yield
        finally:
            events.enable_rule(Name=rule["Name"])

    def function(self, handler: str) -> str:
        """The name of the function that a handler is in."""
        for page in self.client("lambda").get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                mine = function["FunctionName"].startswith((f"{self.scheduler}-", f"{self.fleet}-"))
                if mine and function["Handler"] == f"shoal.aws.functions.{handler}":
                    return str(function["FunctionName"])
        raise LookupError(handler)


def deploy(
    emulator: Emulator, name: str, part: Part | None = None, parameters: Mapping[str, str] = {}
) -> Deployed:
    """Deploy as `shoal deploy` does, with functions for this machine's own Python."""
    with as_user(emulator):
        wanted = plan(name, part, parameters, read_templates())
        for _ in Deployment(open_account(), wanted, platform="local").run():
            pass
    scheduler = parameters.get("TagKey", name if part else f"{name}-scheduler")
    return Deployed(emulator, scheduler, name)
