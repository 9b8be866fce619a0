"""What users of the original, and of any account, rely on in the templates."""

from __future__ import annotations

from typing import Any

import pytest

from .infra import PARTS, functions, resources, template

ORIGINAL = {
    "scheduler": (
        {"TimeoutJob"},
        {
            *("TagKey", "SQSInputQueue", "DynamoDBTable", "SQSFinishedQueue"),
            *("SQSFailedQueue", "IAMRoleForEC2Workers"),
        },
    ),
    "fleet": (
        {
            *("TriggerSuffix", "CommandType", "Retry", "JobSuccessString", "EC2WorkingDirectory"),
            *("TagKey", "MaxInstancesAllowed", "SpotInstanceAllocationStrategy", "AMI"),
        },
        {
            *("S3Bucket", "SQSFinishedQueue", "SQSFailedQueue", "AutoScalingGroup"),
            *("LambdaS3Trigger", "LambdaEC2Scale"),
        },
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_the_original_parameters_and_outputs_are_there(part: str) -> None:
    """A script that deploys the original, or reads its outputs, finds the same names."""
    parameters, outputs = ORIGINAL[part]
    assert parameters <= template(part)["Parameters"].keys()
    assert outputs <= template(part)["Outputs"].keys()


@pytest.mark.parametrize("part", PARTS)
def test_parameters_can_be_left_out(part: str) -> None:
    """Each parameter has a default and says what it is for."""
    for name, parameter in template(part)["Parameters"].items():
        assert "Default" in parameter, name
        assert parameter["Description"], name
    groups = template(part)["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(template(part)["Parameters"])


@pytest.mark.parametrize("part", PARTS)
def test_the_queues_are_where_they_were(part: str) -> None:
    """The job, finished and failed queues have the original's names."""
    names = {queue["QueueName"]["Fn::Sub"] for queue in queues(part).values()}
    name = "${AWS::StackName}-job-queue"
    assert {name, f"{name}-finished", f"{name}-failed"} <= names


def queues(part: str) -> dict[str, dict[str, Any]]:
    return resources(part, "AWS::SQS::Queue")


@pytest.mark.parametrize("part", PARTS)
def test_every_queue_is_encrypted_and_no_message_goes_round_for_ever(part: str) -> None:
    """A queue that something receives from has a dead-letter queue, which an alarm watches."""
    for name, queue in queues(part).items():
        assert queue["SqsManagedSseEnabled"] is True, name
        if name in ("JobQueue", "IntakeQueue"):
            assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {
                "Fn::GetAtt": ["DeadLetterQueue", "Arn"]
            }
    watched = [
        alarm["Dimensions"][0]["Value"]
        for alarm in resources(part, "AWS::CloudWatch::Alarm").values()
    ]
    assert {"Fn::GetAtt": ["DeadLetterQueue", "QueueName"]} in watched


def test_the_table_has_the_original_key() -> None:
    """The job table is keyed by job_id, billed by use, encrypted and can be restored."""
    tables = resources("scheduler", "AWS::DynamoDB::Table")
    assert [key["AttributeName"] for key in tables["JobsTable"]["KeySchema"]] == ["job_id"]
    for table in tables.values():
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["SSESpecification"]["SSEEnabled"] is True
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_workers_of_a_fleet_carry_the_tag() -> None:
    """Instances are tagged {scheduler: queue}, at launch, as the original tags them."""
    [group] = resources("fleet", "AWS::AutoScaling::AutoScalingGroup").values()
    assert {
        "Key": {"Ref": "TagKey"},
        "Value": {"Fn::Sub": "${AWS::StackName}-job-queue"},
        "PropagateAtLaunch": True,
    } in group["Tags"]


def test_workers_are_launched_as_they_should_be() -> None:
    """IMDSv2 only, encrypted disks, the newest version of the launch template, from zero."""
    [launch] = resources("fleet", "AWS::EC2::LaunchTemplate").values()
    data = launch["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert [disk["Ebs"]["Encrypted"] for disk in data["BlockDeviceMappings"]] == [True]
    [group] = resources("fleet", "AWS::AutoScaling::AutoScalingGroup").values()
    chosen = group["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
    assert chosen["Version"] == {"Fn::GetAtt": ["LaunchTemplate", "LatestVersionNumber"]}
    assert group["MinSize"] == "0"
    assert group["NewInstancesProtectedFromScaleIn"] is True


@pytest.mark.parametrize("part", PARTS)
def test_buckets_are_private_and_encrypted(part: str) -> None:
    """No public access, TLS only."""
    buckets = resources(part, "AWS::S3::Bucket")
    for bucket in buckets.values():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["BucketEncryption"]
    policies = resources(part, "AWS::S3::BucketPolicy").values()
    assert {policy["Bucket"]["Ref"] for policy in policies} == set(buckets)
    for policy in policies:
        [statement] = policy["PolicyDocument"]["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("part", PARTS)
def test_functions_run_a_current_python_from_one_bundle(part: str) -> None:
    """All functions are what `make bundle` has built, each handler one that there is."""
    import shoal.aws.functions as handlers

    assert template(part)["Globals"]["Function"]["Runtime"] in ("python3.13", "python3.14")
    for function in functions(part).values():
        assert function["CodeUri"] == "../build/functions"
        assert "Runtime" not in function
        module, _, name = function["Handler"].rpartition(".")
        assert module == handlers.__name__
        assert name in handlers.__all__


def test_each_handler_has_its_function() -> None:
    """No entry point is left without a function."""
    import shoal.aws.functions as handlers

    found = [
        function["Handler"].rpartition(".")[2]
        for part in PARTS
        for function in functions(part).values()
    ]
    assert sorted(found) == sorted(handlers.__all__)


@pytest.mark.parametrize("part", PARTS)
def test_no_event_is_dropped_in_silence(part: str) -> None:
    """An event that reaches no function, or that fails in it, ends on the dead-letter queue."""
    dead_letters = {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    for name, function in functions(part).items():
        rules = [
            event["Properties"]
            for event in function.get("Events", {}).values()
            if event["Type"] == "EventBridgeRule"
        ]
        for rule in rules:
            assert rule["DeadLetterConfig"]["Arn"] == dead_letters, name
        if rules:
            assert function["DeadLetterQueue"] == {"Type": "SQS", "TargetArn": dead_letters}, name
