"""The templates in infra/, as CloudFormation reads them, and what they let whom do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from awscli.customizations.cloudformation.yamlhelper import yaml_parse

ROOT = Path(__file__).parents[2]
PARTS = ("scheduler", "fleet")

Properties = dict[str, Any]


class Allowed(NamedTuple):
    """What a statement of a policy allows."""

    actions: tuple[str, ...]
    resources: tuple[Any, ...]
    condition: Properties


def file_of(part: str) -> Path:
    """The file of a template."""
    return ROOT / "infra" / f"{part}.template.yaml"


@cache
def template(part: str) -> Properties:
    """A template; intrinsic functions in their long form."""
    found: Properties = yaml_parse(file_of(part).read_text())
    return found


def resources(part: str, kind: str) -> dict[str, Properties]:
    """The properties of all resources of a type, by logical id."""
    return {
        name: resource["Properties"]
        for name, resource in template(part)["Resources"].items()
        if resource["Type"] == kind
    }


def functions(part: str) -> dict[str, Properties]:
    """The functions of a template."""
    return resources(part, "AWS::Serverless::Function")


def states() -> dict[str, Properties]:
    """The states of the state machine."""
    [machine] = resources("scheduler", "AWS::Serverless::StateMachine").values()
    found: dict[str, Properties] = machine["Definition"]["States"]
    return found


def shared_policies(part: str) -> dict[str, list[Allowed]]:
    """What each policy allows that several roles may have."""
    return {
        name: list(_allowed(policy["PolicyDocument"]))
        for name, policy in resources(part, "AWS::IAM::ManagedPolicy").items()
    }


def roles(part: str) -> dict[str, tuple[list[str], list[Allowed]]]:
    """For each role, named after its function if it has one: its shared policies, and its own."""
    found = {}
    for name, function in functions(part).items():
        policies = function.get("Policies", [])
        shared = [policy["Ref"] for policy in policies if "Ref" in policy]
        own = [one for policy in policies if "Ref" not in policy for one in _allowed(policy)]
        found[name] = (shared, own)
    for name, role in resources(part, "AWS::IAM::Role").items():
        own = [one for policy in role["Policies"] for one in _allowed(policy["PolicyDocument"])]
        found[name] = ([], own)
    return found


def everything_allowed(part: str) -> Iterator[tuple[str, Allowed]]:
    """Each statement, with the role or shared policy it is in."""
    for name, statements in shared_policies(part).items():
        yield from ((name, statement) for statement in statements)
    for name, (_, statements) in roles(part).items():
        yield from ((name, statement) for statement in statements)


def _allowed(document: Properties) -> Iterator[Allowed]:
    if "Fn::Sub" in document:
        document = json.loads(document["Fn::Sub"])
    for statement in _listed(document["Statement"]):
        assert statement["Effect"] == "Allow", statement
        yield Allowed(
            tuple(_listed(statement["Action"])),
            tuple(_listed(statement["Resource"])),
            statement.get("Condition", {}),
        )


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]
