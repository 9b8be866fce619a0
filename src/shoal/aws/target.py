"""The stack that an environment's name means, and the names of all that belongs to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from shoal.aws import names
from shoal.aws.account import split_name
from shoal.aws.edge import CONFIG, open_client_session
from shoal.aws.stacks.stack import Stack, Stacks
from shoal.core.errors import EnvironmentMissing, ShoalError
from shoal.core.intake import IntakeRules
from shoal.core.spec import POWERSHELL_DOCUMENT, SHELL_DOCUMENT

STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")

FLEET_OUTPUTS = ("S3Bucket", "SQSInputQueue")
SCHEDULER_OUTPUTS = ("DynamoDBTable", "RecordsTable")
"""What tells a stack of ours from others, the original's included."""


@dataclass(frozen=True)
class Target:
    """A fleet with its bucket and queue, or a scheduler stack with the queue of its own.

    Args:
        session: of boto3, in the stack's region.
        stack: as it was found.
        scheduler: the name of the scheduler stack: it itself, or the one that a fleet belongs to.
        account: whose it is, 12 digits.
        bucket: where job folders go; None for a scheduler stack.
        group: its Auto Scaling group; None for a scheduler stack.
    """

    session: Any
    stack: Stack
    scheduler: str
    account: str
    bucket: str | None
    group: str | None

    @property
    def name(self) -> str:
        """The environment's name."""
        return f"aws:{self.stack.name}@{self.region}"

    @property
    def region(self) -> str:
        """Where it is."""
        region: str = self.session.region_name
        return region

    @property
    def queue(self) -> str:
        """Its job queue, and the tag value of its workers."""
        return names.default_queue(self.stack.name)

    @property
    def jobs_table(self) -> str:
        """The table anybody can read."""
        return names.jobs_table(self.scheduler)

    @property
    def records_table(self) -> str:
        """Workers, settlements, and what else is no job."""
        return names.records_table(self.scheduler)

    @property
    def log_bucket(self) -> str:
        """Where the output of attempts is kept."""
        return names.log_bucket(self.scheduler, self.account)

    @property
    def log_group(self) -> str:
        """Where the output of attempts that run is streamed to."""
        return names.log_group(self.scheduler)

    @property
    def scale_queue(self) -> str | None:
        """Where to nudge the fleet; None when nobody scales."""
        return names.scale_queue(self.stack.name) if self.bucket is not None else None

    @property
    def state_machine_arn(self) -> str:
        """The workers' schedulers are its executions."""
        partition = self.stack.stack_id.split(":")[1]
        machine = names.state_machine(self.scheduler)
        return f"arn:{partition}:states:{self.region}:{self.account}:stateMachine:{machine}"

    @property
    def intake_rules(self) -> IntakeRules:
        """What the stack's parameters say of jobs that come as folders."""
        given = self.stack.parameters
        windows = given.get("CommandType") == "PowerShell"
        return IntakeRules(
            trigger_suffixes=(given.get("TriggerSuffix", ".sh"),),
            retry=int(given.get("Retry", "0")),
            job_success_string=given.get("JobSuccessString", " "),
            ssm_document=POWERSHELL_DOCUMENT if windows else SHELL_DOCUMENT,
        )


def find_target(name: str) -> Target:
    """Look a stack up.

    Args:
        name: `NAME` or `NAME@REGION`.

    Raises:
        EnvironmentMissing: there is no such stack, or it is none of ours, or not usable yet.
        AwsMissing, AwsUnusable: AWS can't be asked.
    """
    plain, region = split_name(name)
    if not STACK_NAME.fullmatch(plain) or name.endswith("@"):
        raise EnvironmentMissing(
            f"'aws:{name}' names no stack", "write aws:NAME, or aws:NAME@REGION"
        )
    session = open_client_session(region)
    stacks = Stacks(session.client("cloudformation", config=CONFIG))
    stack = stacks.find(plain)
    where = f"stack {plain!r} in {session.region_name}"
    if stack is None:
        raise EnvironmentMissing(f"there is no {where}", _what_there_is(stacks))
    account = stack.stack_id.split(":")[4]
    outputs = stack.outputs
    if all(key in outputs for key in FLEET_OUTPUTS):
        scheduler = stack.parameters.get("TagKey") or outputs["TagKey"]
        bucket, group = outputs["S3Bucket"], outputs.get("AutoScalingGroup")
        return Target(session, stack, scheduler, account, bucket, group)
    if all(key in outputs for key in SCHEDULER_OUTPUTS):
        return Target(session, stack, stack.name, account, None, None)
    if stack.is_busy or not outputs:
        raise EnvironmentMissing(
            f"{where} is {stack.status} and can't be used",
            f"'shoal deploy {plain}' brings it to its end, or says why not",
        )
    raise EnvironmentMissing(f"{where} is none of Shoal's", _what_there_is(stacks))


def _what_there_is(stacks: Stacks) -> str:
    """A remedy that names the stacks of ours, where they may be listed."""
    try:
        ours = sorted(stack.name for stack in stacks.all() if _is_ours(stack))
    except ShoalError:
        ours = []
    known = f"there are {', '.join(ours)}; " if ours else ""
    return f"{known}'shoal deploy NAME' makes one, NAME@REGION names one in another region"


def _is_ours(stack: Stack) -> bool:
    kinds = (FLEET_OUTPUTS, SCHEDULER_OUTPUTS)
    return any(all(key in stack.outputs for key in kind) for kind in kinds)
