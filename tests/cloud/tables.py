"""Tables and queues as the template makes them, for tests that need fresh ones."""

from __future__ import annotations

from functools import cache
from typing import Any

from awscli.customizations.cloudformation.yamlhelper import yaml_parse

from shoal.aws.stacks.templates import find_templates


@cache
def _resources() -> dict[str, Any]:
    text = (find_templates() / "scheduler.template.yaml").read_text()
    resources: dict[str, Any] = yaml_parse(text)["Resources"]
    return resources


def make_table(dynamodb: Any, resource: str, name: str) -> None:
    """Make a table with the keys and indexes that a resource of the template has."""
    properties = _resources()[resource]["Properties"]
    wanted = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes")
    dynamodb.create_table(
        TableName=name, **{key: properties[key] for key in wanted if key in properties}
    )


def make_queues(sqs: Any, queue: str) -> None:
    """Make a job queue, with its finished and failed queues."""
    for suffix in ("", "-finished", "-failed"):
        sqs.create_queue(QueueName=f"{queue}{suffix}")
