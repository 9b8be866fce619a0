"""A stack as an environment: its ports, made when they are first asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shoal.aws.edge import CONFIG
from shoal.aws.store import AwsStore
from shoal.aws.target import Target, find_target
from shoal.core.intake import IntakeRules
from shoal.ports import Worker

if TYPE_CHECKING:
    from shoal.aws.doctor import AwsDoctor
    from shoal.aws.folders import AwsFolders
    from shoal.aws.logs import AwsLogs
    from shoal.aws.notes import AwsNotes
    from shoal.client_ports import Configuration, WaitForChange

FIRST_LOOK_S, LONGEST_LOOK_S, GROWTH = 0.5, 5.0, 1.3
"""Between two looks of a waiting client: nobody rings across a network, and each look is a few
paid calls."""


class AwsEnvironment:
    """A `client_ports.Environment`.

    Args:
        target: the stack.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.store = AwsStore(
            target.session,
            target.jobs_table,
            target.records_table,
            target.queue,
            scale_queue=target.scale_queue,
        )

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def intake_rules(self) -> IntakeRules:
        return self.target.intake_rules

    @cached_property
    def folders(self) -> AwsFolders:
        from shoal.aws.folders import AwsFolders

        return AwsFolders(self.target.session, self.target.bucket, self.intake_rules)

    @cached_property
    def logs(self) -> AwsLogs:
        from shoal.aws.logs import AwsLogs

        return AwsLogs(self.target, self.store.ran_as)

    @cached_property
    def notes(self) -> AwsNotes:
        from shoal.aws.notes import AwsNotes
        from shoal.aws.table import Table

        client = self.target.session.client("dynamodb", config=CONFIG)
        records = Table(client, self.target.records_table, ("pk", "sk"))
        return AwsNotes(records, self.target.queue)

    @property
    def lag_s(self) -> float:
        """An index of DynamoDB is mostly milliseconds behind its table."""
        return 1.0

    def workers(self) -> list[Worker]:
        return list_workers(self.target)

    def is_supervised(self) -> bool:
        return True

    @contextmanager
    def changes(self) -> Iterator[WaitForChange]:
        pause_s = FIRST_LOOK_S

        def wait(at_most_s: float | None) -> None:
            nonlocal pause_s
            time.sleep(pause_s if at_most_s is None else min(pause_s, at_most_s))
            pause_s = min(pause_s * GROWTH, LONGEST_LOOK_S)

        yield wait

    def doctor(self) -> AwsDoctor:
        from shoal.aws.doctor import AwsDoctor

        return AwsDoctor(self.target, self.store)

    def close(self) -> None:
        self.store.close()


def open_stack(name: str) -> AwsEnvironment:
    """Open the environment of a stack, `NAME` or `NAME@REGION`.

    Raises:
        EnvironmentMissing: there is no such stack, or none that can be used.
        AwsMissing, AwsUnusable: AWS can't be asked.
    """
    return AwsEnvironment(find_target(name))


def list_workers(target: Target) -> list[Worker]:
    """The machines that carry the tag of a stack's workers, however they were launched."""
    pages = (
        target.session.client("ec2", config=CONFIG)
        .get_paginator("describe_instances")
        .paginate(
            Filters=[
                {"Name": f"tag:{target.scheduler}", "Values": [target.queue]},
                {"Name": "instance-state-name", "Values": ["pending", "running"]},
            ]
        )
    )
    found = [
        _worker(instance)
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    ]
    return sorted(found, key=lambda worker: (worker.started_at, worker.worker))


def _worker(instance: dict[str, Any]) -> Worker:
    zone = instance.get("Placement", {}).get("AvailabilityZone", "")
    host = " ".join(part for part in (instance.get("InstanceType", ""), zone) if part)
    return Worker(instance["InstanceId"], None, instance["LaunchTime"].timestamp(), host)


def stack_configuration(name: str) -> Configuration:
    """The parameters of a stack, and of the scheduler stack it belongs to."""
    from shoal.aws.stacks.stack import Stacks
    from shoal.client_ports import Configuration

    target = find_target(name)
    cloudformation = target.session.client("cloudformation", config=CONFIG)
    settings: dict[str, tuple[object, str]] = {}
    for of in dict.fromkeys((target.stack.name, target.scheduler)):
        stack = target.stack if of == target.stack.name else Stacks(cloudformation).find(of)
        if stack is None:
            continue
        summary = cloudformation.get_template_summary(StackName=stack.name)
        defaults = {
            known["ParameterKey"]: known["DefaultValue"]
            for known in summary.get("Parameters", ())
            if "DefaultValue" in known
        }
        for key, value in stack.parameters.items():
            kind = "default" if defaults.get(key) == value else "parameter"
            settings.setdefault(key, (value, f"{kind} of stack {stack.name}"))
    return Configuration(target.name, None, settings)
