"""The parts of two stacks that a client talks to, without the functions that would do the work."""

from __future__ import annotations

import json
from typing import Any

from shoal.aws import names

from .emulator import Emulator

SCHEDULER, FLEET = "small-scheduler", "small"


def table(name: str, keys: list[str], indexes: dict[str, tuple[tuple[str, str], ...]]) -> Any:
    """A table with its indexes; an index is a name and its keys, each with its type."""
    types = dict.fromkeys(keys, "S")
    for of in indexes.values():
        types |= dict(of)
    properties: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": key, "AttributeType": kind} for key, kind in types.items()
        ],
        "KeySchema": schema(keys),
    }
    if indexes:
        properties["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index,
                "KeySchema": schema([key for key, _ in of]),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index, of in indexes.items()
        ]
    return {"Type": "AWS::DynamoDB::Table", "Properties": properties}


def schema(keys: list[str]) -> list[dict[str, str]]:
    """A hash key, and perhaps a range key."""
    return [
        {"AttributeName": key, "KeyType": kind}
        for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
    ]


def queues(stack: str) -> dict[str, Any]:
    """The three queues of a stack."""
    queue = names.default_queue(stack)
    return {
        f"Queue{number}": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}
        for number, name in enumerate(
            (queue, names.finished_queue(queue), names.failed_queue(queue), f"{stack}-scale")
        )
    }


def scheduler_template(emulator: Emulator) -> dict[str, Any]:
    """Tables, queues and the place of the logs."""
    resources = {
        "Jobs": table(
            names.jobs_table(SCHEDULER),
            ["job_id"],
            {
                "by-listing": (("listing", "S"), ("place", "N")),
                "by-batch": (("member_of", "S"), ("place", "N")),
                "by-turn": (("waiting", "S"), ("turn", "S")),
                "by-unsent": (("unsent_in", "S"),),
            },
        ),
        "Records": table(names.records_table(SCHEDULER), ["pk", "sk"], {}),
        "Logs": {
            "Type": "AWS::S3::Bucket",
            "Properties": {"BucketName": names.log_bucket(SCHEDULER, emulator.account)},
        },
        **queues(SCHEDULER),
    }
    outputs = {"TagKey": SCHEDULER, "DynamoDBTable": "x", "RecordsTable": "y"}
    return template({"TimeoutJob": "60"}, resources, outputs)


def fleet_template(emulator: Emulator) -> dict[str, Any]:
    """A bucket and queues."""
    bucket = names.drop_bucket(FLEET, emulator.account)
    resources = {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}},
        **queues(FLEET),
    }
    parameters = {
        "TagKey": SCHEDULER,
        "TriggerSuffix": ".sh",
        "CommandType": "ShellScript",
        "Retry": "1",
        "JobSuccessString": " ",
    }
    outputs = {"S3Bucket": bucket, "SQSInputQueue": "q", "AutoScalingGroup": "g"}
    return template(parameters, resources, outputs)


def template(
    parameters: dict[str, str], resources: dict[str, Any], outputs: dict[str, str]
) -> dict[str, Any]:
    """A template with parameters that have defaults, and outputs that are constants."""
    return {
        "Parameters": {
            name: {"Type": "String", "Default": value} for name, value in parameters.items()
        },
        "Resources": resources,
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }


def create(emulator: Emulator, name: str, body: dict[str, Any], **parameters: str) -> None:
    """Create a stack, and wait until it is there."""
    cloudformation = emulator.client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=json.dumps(body),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
    )
    waiter = cloudformation.get_waiter("stack_create_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def stand(emulator: Emulator) -> None:
    """Have both stacks; tests of several modules share them."""
    known = emulator.client("cloudformation").describe_stacks()["Stacks"]
    if FLEET not in {stack["StackName"] for stack in known}:
        create(emulator, SCHEDULER, scheduler_template(emulator))
        create(emulator, FLEET, fleet_template(emulator), Retry="3")
