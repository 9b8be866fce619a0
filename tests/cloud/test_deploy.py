"""`shoal deploy` and `shoal destroy`, as a person types them, on an emulated account."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shoal.aws.bundle import build_bundle
from shoal.aws.stacks.templates import read_templates

from .emulator import Emulator
from .machines import Machines
from .small_stacks import SCHEDULER, make_slow, write_templates

SHOAL = str(Path(sys.executable).with_name("shoal"))
PATIENCE_S = 60.0


class Said(NamedTuple):
    """What a command said, and its exit code."""

    out: str
    err: str
    code: int


class User:
    """Somebody at a shell, who administers the account, with templates of their own."""

    def __init__(self, emulator: Emulator, templates: Path, bundle: Path) -> None:
        self.emulator = emulator
        self.templates = templates
        self.variables = {"PATH": os.environ["PATH"], **emulator.session_env()}
        self._deploy = ("--templates", str(templates), "--bundle", str(bundle))

    def deploy(self, *words: str, code: int = 0) -> Said:
        return self.type("deploy", *words, *self._deploy, code=code)

    def destroy(self, *words: str, code: int = 0) -> Said:
        return self.type("destroy", *words, "--yes", code=code)

    def type(self, *words: str, code: int = 0) -> Said:
        child = self.start(*words)
        out, err = child.communicate(timeout=PATIENCE_S)
        said = Said(out, err, child.returncode)
        assert said.code == code, f"shoal {' '.join(words)}: {said}"
        return said

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [SHOAL, *words],
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start_deploy(self, *words: str) -> subprocess.Popen[str]:
        return self.start("deploy", *words, *self._deploy)

    def client(self, service: str) -> Any:
        return self.emulator.client(service)

    def stacks(self) -> dict[str, dict[str, Any]]:
        found = self.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"]: stack for stack in found}

    def parameters(self, stack: str) -> dict[str, str]:
        found = self.stacks()[stack]["Parameters"]
        return {of["ParameterKey"]: of["ParameterValue"] for of in found}

    def clean(self) -> None:
        """Leave nothing, not even of what failed."""
        while names := [name for name in self.stacks() if name.startswith("t-")]:
            # A fleet before the scheduler that it may have, and with it.
            self.type("destroy", min(names, key=lambda name: "-scheduler" in name), "--yes")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "functions"
    build_bundle(folder, "local")
    return folder


@pytest.fixture
def user(emulator: Emulator, machines: Machines, tmp_path: Path, bundle: Path) -> Iterator[User]:
    made = User(emulator, write_templates(tmp_path / "templates"), bundle)
    yield made
    made.clean()


def wait_for_status(user: User, stack: str, status: str) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while user.stacks().get(stack, {}).get("StackStatus") != status:
        assert time.monotonic() < give_up_at, user.stacks()
        time.sleep(0.05)


def test_deploying_makes_both_stacks(user: User) -> None:
    """A scheduler and its fleet are there; progress, outputs and the next step are printed."""
    said = user.deploy("t-new")
    assert user.parameters("t-new")["TagKey"] == "t-new-scheduler"
    assert "CREATE_COMPLETE                 Machine  AWS::StepFunctions::StateMachine" in said.err
    assert "stack t-new-scheduler is created" in said.err
    assert "SHOAL_ENV=aws:t-new@us-east-1" in said.err
    bucket = f"t-new-{user.emulator.account}-drop-job-files"
    assert [line.split() for line in said.out.splitlines()] == [
        ["stack", "output", "value"],
        ["t-new-scheduler", "TagKey", "t-new-scheduler"],
        ["t-new", "S3Bucket", bucket],
    ]


def test_the_bucket_of_bundles_is_sealed(user: User) -> None:
    """It is private, encrypted, refuses what is not TLS, and holds each content once."""
    user.deploy("t-seal", "--part", "scheduler")
    s3, name = user.client("s3"), f"shoal-artifacts-{user.emulator.account}-us-east-1"
    access = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert set(access.values()) == {True}
    policy = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    before = {of["Key"]: of["LastModified"] for of in s3.list_objects_v2(Bucket=name)["Contents"]}
    user.deploy("t-seal", "--part", "scheduler")
    after = {of["Key"]: of["LastModified"] for of in s3.list_objects_v2(Bucket=name)["Contents"]}
    assert before == after


def test_a_bucket_can_be_named(user: User) -> None:
    """--bucket is used when it is there, and refused with code 3 when not."""
    assert "there is no bucket t-none" in user.deploy("t-own", "--bucket", "t-none", code=3).err
    user.client("s3").create_bucket(Bucket="t-mine")
    user.deploy("t-own", "--part", "scheduler", "--bucket", "t-mine")
    assert user.client("s3").list_objects_v2(Bucket="t-mine")["KeyCount"] == 3


def test_deploying_again_changes_nothing(user: User) -> None:
    """The same again is a success that touches no stack."""
    user.deploy("t-same")
    before = user.stacks()
    (fleet, scheduler) = reversed(json.loads(user.deploy("t-same", "--json").out))
    assert (fleet["stack"], fleet["how"]) == ("t-same", "unchanged")
    assert (scheduler["stack"], scheduler["how"]) == ("t-same-scheduler", "unchanged")
    assert scheduler["outputs"] == {"TagKey": "t-same-scheduler"}
    assert user.stacks() == before


def test_parameters_that_are_not_given_keep_their_values(user: User) -> None:
    """Each value goes to the stack that knows it, and stays there until another is given."""
    first = ("--parameter", "TimeoutJob=100", "--parameter", "MaxInstancesAllowed=7")
    user.deploy("t-keep", *first)
    user.deploy("t-keep", "--parameter", "Colour=a=b")
    assert user.parameters("t-keep-scheduler") == {"TimeoutJob": "100", "Colour": "a=b"}
    assert user.parameters("t-keep")["MaxInstancesAllowed"] == "7"
    url = user.client("sqs").get_queue_url(QueueName="t-keep-scheduler-job-queue")["QueueUrl"]
    assert user.client("sqs").list_queue_tags(QueueUrl=url)["Tags"]["colour"] == "a=b"


def test_a_new_bundle_reaches_the_functions(user: User, tmp_path: Path) -> None:
    """When the code changes, so does the function's, and nothing else."""
    user.deploy("t-code", "--part", "scheduler")
    name = next(
        of["FunctionName"]
        for of in user.client("lambda").list_functions()["Functions"]
        if of["FunctionName"].startswith("t-code-")
    )
    before = user.client("lambda").get_function(FunctionName=name)["Configuration"]["CodeSha256"]
    build_bundle(tmp_path / "other", "local")
    (tmp_path / "other" / "more.py").touch()
    words = ("t-code", "--part", "scheduler", "--templates", str(user.templates))
    said = user.type("deploy", *words, "--bundle", str(tmp_path / "other"))
    assert "updating stack t-code: 1 change\n" in said.err
    after = user.client("lambda").get_function(FunctionName=name)["Configuration"]["CodeSha256"]
    assert before != after


def test_a_dry_run_shows_the_changes_and_makes_none(user: User) -> None:
    """Nothing is left of it, whether the stacks are there or not."""
    said = user.deploy("t-dry", "--dry-run")
    assert ["t-dry-scheduler", "Add", "Jobs", "AWS::SQS::Queue"] in [
        line.split() for line in said.out.splitlines()
    ]
    assert not [name for name in user.stacks() if name.startswith("t-dry")]
    user.deploy("t-dry")
    before = user.stacks()
    words = ("t-dry", "--parameter", "Colour=blue", "--dry-run", "--json")
    scheduler, fleet = json.loads(user.deploy(*words).out)
    assert scheduler["how"] == "update"
    assert [of["resource"] for of in scheduler["changes"]] == ["Jobs"]
    assert (fleet["how"], fleet["changes"]) == ("unchanged", [])
    assert user.stacks() == before
    for name in ("t-dry", "t-dry-scheduler"):
        listed = user.client("cloudformation").list_change_sets(StackName=name)["Summaries"]
        assert {of["ExecutionStatus"] for of in listed} <= {"EXECUTE_COMPLETE"}


def test_a_failure_tells_the_reason_and_leaves_nothing(user: User) -> None:
    """The reason of the resource that failed first is printed; the next deployment works."""
    make_slow(user.templates, 1)
    said = user.deploy("t-bad", code=1)
    last = said.err.splitlines()[-1]
    slow = "Slow (AWS::CloudFormation::WaitCondition)"
    assert last.startswith(f"shoal: stack t-bad-scheduler: {slow} ended as CREATE_FAILED (")
    assert "timed out" in last
    assert "nothing is left of it" in last
    assert not [name for name in user.stacks() if name.startswith("t-bad")]
    (user.templates / "scheduler.template.yaml").write_text(SCHEDULER)
    user.deploy("t-bad")


def test_what_cloudformation_finds_beforehand_is_told(user: User) -> None:
    """A name that is taken is found before anything is made; the reason is asked for."""
    taken = f"t-taken-{user.emulator.account}-logs"
    user.client("s3").create_bucket(Bucket=taken)
    said = user.deploy("t-taken", "--part", "scheduler", code=1)
    last = said.err.splitlines()[-1]
    assert "Logs (AWS::S3::Bucket) is refused" in last
    assert "already exists" in last
    assert "DescribeEvents" not in last
    user.client("s3").delete_bucket(Bucket=taken)


def test_an_update_that_fails_leaves_things_as_they_were(user: User) -> None:
    """The reason is printed, and the old values are in force."""
    user.deploy("t-up", "--part", "scheduler")
    make_slow(user.templates, 1)
    words = ("t-up", "--part", "scheduler", "--parameter", "Colour=blue")
    last = user.deploy(*words, code=1).err.splitlines()[-1]
    assert "Slow (AWS::CloudFormation::WaitCondition) ended as UPDATE_FAILED" in last
    assert "it is as it was before" in last
    assert user.parameters("t-up")["Colour"] == "red"


def test_a_template_that_is_refused_makes_no_stack(user: User) -> None:
    """What CloudFormation says against it is passed on."""
    said = user.deploy("t-odd", "--parameter", "TimeoutJob=long", code=3)
    assert "TimeoutJob" in said.err.splitlines()[-1]
    assert not [name for name in user.stacks() if name.startswith("t-odd")]


def test_a_stack_that_others_failed_to_make_is_named_with_the_remedy(user: User) -> None:
    """ROLLBACK_COMPLETE can't be updated: the error says how to go on, and that works."""
    make_slow(user.templates, 1)
    text = (user.templates / "scheduler.template.yaml").read_text()
    user.client("cloudformation").create_stack(
        StackName="t-rolled",
        TemplateBody=text.partition("  Function:")[0],
        Capabilities=["CAPABILITY_AUTO_EXPAND"],
    )
    wait_for_status(user, "t-rolled", "ROLLBACK_COMPLETE")
    said = user.deploy("t-rolled", "--part", "scheduler", code=2)
    assert "is ROLLBACK_COMPLETE" in said.err
    assert "'shoal destroy t-rolled'" in said.err
    user.destroy("t-rolled")
    (user.templates / "scheduler.template.yaml").write_text(SCHEDULER)
    user.deploy("t-rolled", "--part", "scheduler")


def test_a_deployment_that_was_interrupted_goes_on(user: User) -> None:
    """Ctrl-C stops the watching only; the same again waits for what is under way."""
    make_slow(user.templates, 4)
    child = user.start_deploy("t-slow", "--part", "scheduler")
    wait_for_status(user, "t-slow", "CREATE_IN_PROGRESS")
    child.send_signal(signal.SIGINT)
    assert child.wait(PATIENCE_S) == 130
    child.communicate()
    assert user.stacks()["t-slow"]["StackStatus"] == "CREATE_IN_PROGRESS"
    (user.templates / "scheduler.template.yaml").write_text(SCHEDULER)
    said = user.deploy("t-slow", "--part", "scheduler")
    assert "t-slow is CREATE_IN_PROGRESS: waiting" in said.err
    assert "stack t-slow is created" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("t-no", "--parameter", "Tim=1"), "unknown parameter Tim: known are Colour, Max"),
        (("t-no", "--parameter", "Tim"), "'Tim' is not KEY=VALUE"),
        (("t-no", "--parameter", "Colour=1", "--parameter", "Colour=2"), "Colour is given twice"),
        (("t-no", "--parameter", "TagKey=x"), "TagKey is the name of the scheduler"),
        (("t-no", "--part", "fleet"), "needs a value for TagKey: add --parameter TagKey=..."),
        (("t-no", "--part", "fleet", "--parameter", "TagKey=t-x"), "no scheduler stack t-x"),
        (("t-no", "--part", "fleet", "--parameter", "TagKey=t-no"), "name the fleet otherwise"),
        (("T-no",), "can't be the name of a fleet stack: it becomes part of a bucket's name"),
        (("t_no",), "lower case letters, digits and hyphens"),
        (("t-no-",), "ending with a letter or digit"),
        (("x" * 36,), "at most 35 characters"),
        (("x" * 46, "--part", "scheduler"), "at most 45 characters"),
        (("t-no@eu-west-1", "--region", "us-east-1"), "another region than --region us-east-1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(
    user: User, words: tuple[str, ...], said: str
) -> None:
    """Exit code 2, what is wrong, what would be right; no stack, nothing uploaded."""
    error = user.deploy(*words, code=2).err
    assert said in error
    assert "function bundle" not in error
    assert not [name for name in user.stacks() if name.startswith("t-no")]


def test_a_stack_of_another_kind_is_left_alone(user: User) -> None:
    """Neither does deploy turn a stack into another, nor does destroy take one of others."""
    user.deploy("t-kind")
    assert "it is a fleet" in user.deploy("t-kind", "--part", "scheduler", code=2).err
    assert "is a fleet" in user.destroy("t-kind", "--part", "scheduler", code=2).err
    user.client("cloudformation").create_stack(
        StackName="not-ours", TemplateBody="Resources: {A: {Type: 'AWS::SQS::Queue'}}"
    )
    wait_for_status(user, "not-ours", "CREATE_COMPLETE")
    assert "not one of Shoal's" in user.destroy("not-ours", code=2).err
    assert "not one of Shoal's" in user.deploy("not-ours", code=2).err
    user.client("cloudformation").delete_stack(StackName="not-ours")


def test_a_user_without_rights_learns_which_are_missing(user: User) -> None:
    """AWS's denial is passed on with the action it names, and exit code 3."""
    iam = user.client("iam")
    iam.create_user(UserName="t-nobody")
    key = iam.create_access_key(UserName="t-nobody")["AccessKey"]
    user.variables |= {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    error = user.deploy("t-denied", code=3).err
    assert "AWS denies DescribeStacks" in error
    assert "cloudformation:DescribeStacks" in error
    user.variables |= user.emulator.session_env()


def test_destroying_takes_everything(user: User, machines: Machines) -> None:
    """Workers, protected ones too, all versions of all objects, executions and stacks are gone."""
    user.deploy("t-gone")
    s3, bucket = user.client("s3"), f"t-gone-{user.emulator.account}-drop-job-files"
    for number in range(3):
        s3.put_object(Bucket=bucket, Key="a/input", Body=b"%d" % number)
    s3.put_object(Bucket=bucket, Key="a/ä +%27'$(x)", Body=b"")
    s3.delete_object(Bucket=bucket, Key="a/input")
    s3.put_object(Bucket=f"t-gone-scheduler-{user.emulator.account}-logs", Key="log", Body=b"")
    user.client("dynamodb").put_item(
        TableName="t-gone-scheduler-job-monitoring",
        Item={"job_id": {"S": "a"}, "Status": {"S": "Queued"}},
    )
    arn = user.client("stepfunctions").list_state_machines()["stateMachines"]
    (machine,) = [of["stateMachineArn"] for of in arn if of["name"] == "t-gone-scheduler-scheduler"]
    user.client("stepfunctions").start_execution(stateMachineArn=machine, name="i-1-1")
    group, scaling = "t-gone-autoscaling-group", user.client("autoscaling")
    scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=2)
    workers = _in_service(scaling, group, 2)
    scaling.set_instance_protection(
        AutoScalingGroupName=group, InstanceIds=workers[:1], ProtectedFromScaleIn=True
    )
    said = user.destroy("t-gone")
    assert ["t-gone", "fleet", "CREATE_COMPLETE", "2", "5", bucket] in [
        line.split() for line in said.out.splitlines()
    ]
    assert "1 job is not over" in said.err
    assert "2 workers to end" in said.err
    assert "5 objects deleted" in said.err
    assert "stopped 1 execution" in said.err
    assert not [name for name in user.stacks() if name.startswith("t-gone")]
    assert not [of for of in s3.list_buckets()["Buckets"] if of["Name"].startswith("t-gone")]
    assert "there is no stack t-gone" in user.destroy("t-gone", code=2).err


def _in_service(scaling: Any, group: str, count: int) -> list[str]:
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        (found,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])[
            "AutoScalingGroups"
        ]
        workers = [
            str(of["InstanceId"])
            for of in found["Instances"]
            if of["LifecycleState"] == "InService"
        ]
        if len(workers) == count:
            return workers
        assert time.monotonic() < give_up_at, found
        time.sleep(0.05)


def test_destroying_goes_on_where_it_was_interrupted(user: User) -> None:
    """Interrupted while it empties a bucket with more objects than one call deletes, it goes on."""
    user.deploy("t-many", "--part", "scheduler")
    s3, bucket = user.client("s3"), f"t-many-{user.emulator.account}-logs"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: s3.put_object(Bucket=bucket, Key=f"{at}"), range(2_100)))
    child = user.start("destroy", "t-many", "--yes")
    assert child.stderr is not None
    for line in child.stderr:
        if line == "1,000 objects deleted\n":
            child.send_signal(signal.SIGINT)
            break
    child.communicate()
    assert child.wait(PATIENCE_S) == 130
    assert "t-many" in user.stacks()
    left = sum(
        len(page.get("Versions", ()))
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    )
    assert f"{left:,} objects deleted\n" in user.destroy("t-many").err
    assert "t-many" not in user.stacks()


@pytest.mark.parametrize("gone", ["bucket", "table", "fleet"])
def test_what_is_gone_already_is_no_hindrance(user: User, gone: str) -> None:
    """Whatever an earlier run, or somebody else, has deleted already, the rest goes."""
    user.deploy("t-half")
    if gone == "fleet":
        user.destroy("t-half", "--part", "fleet")
        assert [name for name in user.stacks() if name[:2] == "t-"] == ["t-half-scheduler"]
    elif gone == "bucket":
        bucket = f"t-half-{user.emulator.account}-drop-job-files"
        user.client("s3").delete_bucket(Bucket=bucket)
    else:
        user.client("dynamodb").delete_table(TableName="t-half-scheduler-job-monitoring")
    user.destroy("t-half")
    assert not [name for name in user.stacks() if name.startswith("t-half")]


def test_a_scheduler_that_others_need_stays(user: User) -> None:
    """With other fleets at it only the fleet can go; then they, and the scheduler with the last."""
    user.deploy("t-one")
    user.deploy("t-two", "--part", "fleet", "--parameter", "TagKey=t-one-scheduler")
    error = user.destroy("t-one", code=2).err
    assert "also serves t-two" in error
    assert "--part fleet" in error
    assert {"t-one", "t-two", "t-one-scheduler"} <= user.stacks().keys()
    user.destroy("t-one", "--part", "fleet")
    user.destroy("t-two")
    user.destroy("t-one-scheduler")
    assert not [name for name in user.stacks() if name.startswith("t-")]


def test_parameters_are_read_as_cloudformation_does(user: User) -> None:
    """What deploy reads in Shoal's own templates are their parameters and defaults."""
    for template in read_templates().values():
        summary = user.client("cloudformation").get_template_summary(TemplateBody=template.text)
        theirs = {of["ParameterKey"]: of.get("DefaultValue", "") for of in summary["Parameters"]}
        ours = {of.name: of.default or "" for of in template.parameters.values()}
        assert ours == theirs


def test_nobody_is_asked_where_nobody_is(user: User) -> None:
    """Without a terminal and without --yes nothing is deleted."""
    user.deploy("t-ask", "--part", "scheduler")
    assert "add --yes" in user.type("destroy", "t-ask", code=2).err
    assert "t-ask" in user.stacks()


@pytest.mark.parametrize(("typed", "code"), [("t-asked", 0), ("yes", 130), ("", 130)])
def test_a_person_is_asked_to_type_the_name(user: User, typed: str, code: int) -> None:
    """On a terminal, only the name itself deletes; all else leaves everything."""
    user.deploy("t-asked", "--part", "scheduler")
    ours, its = pty.openpty()
    child = subprocess.Popen(
        [SHOAL, "destroy", "t-asked"],
        env=user.variables,
        stdin=its,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.write(ours, f"{typed}\n".encode())
    assert child.wait(PATIENCE_S) == code
    os.close(its)
    os.close(ours)
    assert ("t-asked" in user.stacks()) == (code != 0)


def test_a_protected_stack_is_refused_before_anything_is_deleted(user: User) -> None:
    """Termination protection keeps the objects as well."""
    user.deploy("t-safe", "--part", "scheduler")
    cloudformation = user.client("cloudformation")
    cloudformation.update_termination_protection(
        StackName="t-safe", EnableTerminationProtection=True
    )
    bucket = f"t-safe-{user.emulator.account}-logs"
    user.client("s3").put_object(Bucket=bucket, Key="a", Body=b"")
    assert "is protected against deletion" in user.destroy("t-safe", code=2).err
    assert user.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    cloudformation.update_termination_protection(
        StackName="t-safe", EnableTerminationProtection=False
    )
