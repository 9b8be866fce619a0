"""Least privilege: what the roles of the templates allow, against the code and the documents."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from botocore import xform_name

from .infra import PARTS, ROOT, Allowed, everything_allowed, functions, roles, shared_policies

WITHOUT_RESOURCES = {
    "autoscaling:DescribeAutoScalingGroups",
    "ec2:DescribeInstances",
    "ssm:CancelCommand",
    "ssm:DescribeInstanceInformation",
    "ssm:GetCommandInvocation",
    "ssm:ListCommandInvocations",
    "ssm:ListCommands",
}
"""Actions that take no resource: their policies have to say `*`."""

OF_THE_AGENT = {
    *("ssm:UpdateInstanceInformation", "ssm:ListInstanceAssociations", "ssm:ListAssociations"),
    *("ssm:GetDocument", "ssm:DescribeDocument"),
    *("ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel"),
    *("ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"),
    *("ec2messages:AcknowledgeMessage", "ec2messages:DeleteMessage", "ec2messages:FailMessage"),
    *("ec2messages:GetEndpoint", "ec2messages:GetMessages", "ec2messages:SendReply"),
}
"""What SSM's agent calls, which AWS's own policy for it allows on `*` as well."""

CALLED_AS = {
    "dynamodb:PutItem": {"put_item", "transact_write_items"},
    "s3:GetObject": {"get_object", "head_object"},
    "s3:ListBucket": {"list_objects_v2"},
    "sqs:SendMessage": {"send_message", "send_message_batch"},
}
"""Methods of boto3, where the action's name is not also the method's."""

OF_THE_STATE_MACHINE = {"lambda:InvokeFunction", "states:StartExecution"}


def actions(statements: list[Allowed]) -> set[str]:
    """All actions of some statements."""
    return {action for statement in statements for action in statement.actions}


@pytest.mark.parametrize("part", PARTS)
def test_every_function_has_a_role_of_its_own(part: str) -> None:
    """No function shares a role: SAM makes one for each that names none."""
    for name, function in functions(part).items():
        assert "Role" not in function, name


@pytest.mark.parametrize("part", PARTS)
def test_nothing_is_allowed_wholesale(part: str) -> None:
    """No statement allows all actions, or all of a service."""
    for name, statement in everything_allowed(part):
        for action in statement.actions:
            assert re.fullmatch(r"[a-z0-9]+:[A-Za-z]+", action), f"{name}: {action}"


@pytest.mark.parametrize("part", PARTS)
def test_resources_are_named_wherever_they_can_be(part: str) -> None:
    """`*` stands only beside actions that take no resource."""
    for name, statement in everything_allowed(part):
        if "*" not in statement.resources:
            continue
        known = OF_THE_AGENT if name == "WorkerRole" else WITHOUT_RESOURCES
        assert set(statement.actions) <= known, name


@pytest.mark.parametrize(
    "action",
    [
        "ssm:SendCommand",
        "ec2:TerminateInstances",
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "autoscaling:SetInstanceProtection",
    ],
)
def test_instances_that_are_not_ours_are_left_alone(action: str) -> None:
    """What runs on instances, or ends them, is allowed only where our tag is."""
    found = [
        (statement.resources, statement.condition)
        for _, statement in everything_allowed("scheduler")
        if action in statement.actions
    ]
    assert found
    for names, condition in found:
        if all(":document/" in name for name in names):
            continue
        [[key, value]] = condition["StringLike"].items()
        assert re.fullmatch(r"[a-z]+:[rR]esourceTag/\$\{AWS::StackName\}", key)
        assert value == "*"


@cache
def code_of_the_functions() -> str:
    """The source of every module that the functions' bundle imports from Shoal."""
    package = ROOT / "src"
    pending, seen, text = ["shoal.aws.functions"], set[Path](), []
    while pending:
        path = package.joinpath(*pending.pop().split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file in seen or not file.exists():
            continue
        seen.add(file)
        text.append(file.read_text())
        for node in ast.parse(text[-1]).body:
            if isinstance(node, ast.Import):
                pending += [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                pending += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    return "\n".join(text)


@pytest.mark.parametrize("part", PARTS)
def test_every_permission_is_used(part: str) -> None:
    """Each action that a function may call is a call somewhere in the functions' code."""
    code = code_of_the_functions()
    allowed = {
        action
        for name, statement in everything_allowed(part)
        if name not in ("WorkerRole", "StateMachineRole")
        for action in statement.actions
    }
    for action in sorted(allowed):
        methods = CALLED_AS.get(action, {xform_name(action.partition(":")[2])})
        pattern = rf"[.\"](?:{'|'.join(sorted(methods))})\b"
        assert re.search(pattern, code), f"{action} is allowed, but nothing calls {methods}"


def test_the_state_machine_may_start_what_it_starts() -> None:
    """Its role invokes functions and starts the next generation."""
    _, own = roles("scheduler")["StateMachineRole"]
    assert actions(own) == OF_THE_STATE_MACHINE


@pytest.mark.parametrize("part", PARTS)
def test_workers_have_their_logs_and_their_bucket_only(part: str) -> None:
    """A worker may do what SSM's agent needs, write output, and use its fleet's bucket."""
    _, own = roles(part)["WorkerRole"]
    rest = {action for action in actions(own) - OF_THE_AGENT if not action.startswith("logs:")}
    logs = {"s3:PutObject", "s3:GetEncryptionConfiguration"}
    bucket = {
        *("s3:ListBucket", "s3:GetBucketLocation", "s3:GetObject", "s3:PutObject"),
        *("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
    }
    assert rest == (logs | bucket if part == "fleet" else logs)


# --- docs/reference/aws-rights.md ----------------------------------------------------------------


def documented(part: str, what: str) -> dict[str, tuple[set[str], set[str]]]:
    """A table of the page of rights: by name, the shared policies and the actions it lists."""
    text = (ROOT / "docs/reference/aws-rights.md").read_text()
    _, _, rest = text.partition(f"<!-- {what}: {part} -->")
    table, end, _ = rest.partition("<!-- end -->")
    assert end, f"there is no table {what}: {part}"
    found: dict[str, tuple[set[str], set[str]]] = {}
    for row in re.findall(r"^\| `(\w+)` \| (.*?) \| ", table, re.MULTILINE):
        name, cell = row
        words = set(re.findall(r"`([^`]+)`", cell))
        policies, named = found.setdefault(name, (set(), set()))
        policies |= {word for word in words if ":" not in word}
        named |= {word for word in words if ":" in word}
    return found


@pytest.mark.parametrize("part", PARTS)
def test_the_documents_list_the_actions_of_each_role(part: str) -> None:
    """The page of rights names exactly the actions and shared policies of each role."""
    wanted = {name: (set(shared), actions(own)) for name, (shared, own) in roles(part).items()}
    assert documented(part, "roles") == wanted


def test_the_documents_list_the_actions_of_the_shared_policies() -> None:
    """The page of rights names exactly the actions of each policy that several roles have."""
    wanted: dict[str, tuple[set[str], set[str]]] = {
        name: (set(), actions(own)) for name, own in shared_policies("scheduler").items()
    }
    assert documented("scheduler", "policies") == wanted
    assert not shared_policies("fleet")
