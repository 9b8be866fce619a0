"""What is to be deployed: which stacks, under what names, with which parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from shoal.aws.bundle import Architecture
from shoal.aws.names import drop_bucket, log_bucket
from shoal.aws.stacks.stack import Stack, StackStuck
from shoal.aws.stacks.templates import Part, Template
from shoal.core.errors import ShoalError

SCHEDULER_SUFFIX = "-scheduler"
"""What follows a fleet's name in the name of the scheduler that was deployed with it."""

TAG_KEY = "TagKey"
ARCHITECTURE = "Architecture"

_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_LONGEST_BUCKET = 63
_ACCOUNT = "0" * 12
LONGEST_NAME: dict[Part, int] = {
    "scheduler": _LONGEST_BUCKET - len(log_bucket("", _ACCOUNT)),
    "fleet": _LONGEST_BUCKET - len(drop_bucket("", _ACCOUNT)),
}
"""A stack's name is part of its bucket's, and that has a limit."""


class DeployRefused(ShoalError):
    """What is to be deployed makes no sense; nothing was done."""

    code = "deploy_refused"


@dataclass(frozen=True)
class Wanted:
    """A stack that is to be.

    Args:
        name: of the stack.
        template: what it is made from.
        parameters: values given; others keep what they have, or take their default.
    """

    name: str
    template: Template
    parameters: dict[str, str]

    @property
    def part(self) -> Part:
        """Which of the two it is."""
        return self.template.part


def plan(
    name: str,
    part: Part | None,
    parameters: Mapping[str, str],
    templates: Mapping[Part, Template],
) -> list[Wanted]:
    """What stacks a name stands for, in the order in which they are made.

    Args:
        name: of the fleet; with `part`, of that stack.
        part: None makes a fleet and a scheduler for it.
        parameters: values for either; each goes where it is known.
        templates: both.

    Raises:
        DeployRefused: a name or parameter that can't be.
    """
    check_name(name, part or "fleet")
    parts: tuple[Part, ...] = (part,) if part is not None else ("scheduler", "fleet")
    known = {key for of in parts for key in templates[of].parameters}
    if unknown := sorted(set(parameters) - known):
        raise DeployRefused(
            f"unknown parameter{'s' * (len(unknown) > 1)} {', '.join(unknown)}",
            f"known are {', '.join(sorted(known))}",
        )
    if part is None and TAG_KEY in parameters:
        raise DeployRefused(
            f"{TAG_KEY} is the name of the scheduler, {name}{SCHEDULER_SUFFIX}, which is deployed"
            " with the fleet",
            "leave it out, or use --part fleet for a fleet at another scheduler",
        )
    if part == "fleet" and parameters.get(TAG_KEY) == name:
        raise DeployRefused(
            f"{name} would be the fleet's name and its scheduler's", "name the fleet otherwise"
        )
    wanted = []
    for of in parts:
        given = {key: parameters[key] for key in parameters if key in templates[of].parameters}
        if part is None and of == "fleet":
            given[TAG_KEY] = name + SCHEDULER_SUFFIX
        stack_name = name + SCHEDULER_SUFFIX if part is None and of == "scheduler" else name
        wanted.append(Wanted(stack_name, templates[of], given))
    return wanted


def check_name(name: str, part: Part) -> None:
    """Refuse a stack's name from which its bucket's can't be made.

    Raises:
        DeployRefused: what a name may be.
    """
    longest = LONGEST_NAME[part]
    bad_start = name.startswith(("xn--", "sthree-", "amzn-s3-demo-"))  # kept by S3 for itself
    if not _NAME.fullmatch(name) or len(name) > longest or bad_start:
        raise DeployRefused(
            f"{name!r} can't be the name of a {part} stack",
            "it becomes part of a bucket's name: use lower case letters, digits and hyphens,"
            f" beginning with a letter, ending with a letter or digit, at most {longest}"
            " characters",
        )


def kind_of(stack: Stack) -> Part | None:
    """Which part a stack is, told by its parameters; None when it is none of Shoal's."""
    if {TAG_KEY, "TriggerSuffix"} <= stack.parameters.keys():
        return "fleet"
    return "scheduler" if "TimeoutJob" in stack.parameters else None


def refuse_other(stack: Stack, wanted: Wanted) -> None:
    """Refuse to turn a stack of another kind into what is wanted.

    Raises:
        StackStuck: it is of another kind.
    """
    kind = kind_of(stack)
    if stack.is_empty or kind == wanted.part:
        return
    what = f"a {kind}" if kind is not None else "not one of Shoal's"
    raise StackStuck(
        f"there is a stack {stack.name} already, and it is {what}", "choose another name"
    )


def refuse_missing(wanted: Wanted, existing: Stack | None) -> None:
    """Refuse when a parameter has neither value nor default.

    Raises:
        DeployRefused: which.
    """
    there = existing.parameters if existing is not None else {}
    missing = [
        parameter.name
        for parameter in wanted.template.parameters.values()
        if parameter.default is None
        and parameter.name not in wanted.parameters
        and parameter.name not in there
    ]
    if missing:
        raise DeployRefused(
            f"stack {wanted.name} needs a value for {', '.join(missing)}",
            f"add {' '.join(f'--parameter {name}=...' for name in missing)}",
        )


def architecture_of(wanted: Wanted, existing: Stack | None) -> Architecture:
    """Of the functions: a parameter of the template, if it has that.

    Raises:
        DeployRefused: there is no such.
    """
    declared = wanted.template.parameters.get(ARCHITECTURE)
    before = existing.parameters if existing is not None else {}
    text = wanted.parameters.get(ARCHITECTURE) or before.get(ARCHITECTURE)
    text = text or (declared.default if declared is not None else None) or "arm64"
    for known in get_args(Architecture):
        if text == known:
            architecture: Architecture = known
            return architecture
    raise DeployRefused(
        f"{ARCHITECTURE} can't be {text!r}", f"known are {', '.join(get_args(Architecture))}"
    )
