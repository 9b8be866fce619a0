"""The functions of a fleet's stack: uploads become jobs, and jobs become workers."""

from __future__ import annotations

import json
import logging
import os
import time
from functools import cache
from typing import Any
from urllib.parse import unquote_plus

import msgspec
from botocore.exceptions import ClientError

from shoal.aws import names
from shoal.aws.functions.wiring import client, queue_facts, settings, variable
from shoal.aws.functions.wiring import store as store_of
from shoal.aws.queues import Queue
from shoal.aws.runner import FleetFacts
from shoal.core.errors import NotAllowed, SpecError
from shoal.core.intake import IntakeRules, is_executable, plan_job
from shoal.core.scaling import workers_wanted
from shoal.core.spec import POWERSHELL_DOCUMENT, SHELL_DOCUMENT
from shoal.ports import Submission

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)


def intake(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Turn uploaded executables into jobs; what can't become one is refused with the reason.

    Returns:
        The messages that could not be dealt with: SQS delivers them again.
    """
    _introduce()
    failures = []
    for message in event["Records"]:
        try:
            for record in json.loads(message["body"]).get("Records", ()):
                _take_in(
                    record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])
                )
        except ClientError:
            log.exception("message %s is left for later", message["messageId"])
            failures.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failures}


def _take_in(bucket: str, key: str) -> None:
    """Submit the job of an executable, as it is in the bucket now.

    What S3 says comes in any order, and late; the object itself tells which version counts.
    """
    if bucket != variable("BUCKET") or not is_executable(key, _rules()):
        return
    try:
        found = client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey", "405", "MethodNotAllowed"):
            log.info("%r is not there any more", key)
            return
        raise
    if names.MARK in found.get("Metadata", {}):
        return  # a result, or submitted by the client that uploaded it
    version = found.get("VersionId") or found["ETag"].strip('"')
    store, now = store_of(_queue()), time.time()
    if store.starts_no_job(key, version):
        return
    try:
        if found["ContentLength"] == 0:
            raise SpecError(f"executable {key!a} is empty", "upload one that holds something")
        store.submit([Submission(plan_job(key, _rules()), version)], now)
    except (SpecError, NotAllowed) as refused:
        log.warning("refused %r: %s", key, refused)
        store.refuse(key, version, str(refused), now)


def scale(_: Any, __: Any) -> dict[str, int]:
    """Set how many workers are wanted. Never fewer: workers retire themselves."""
    _introduce()
    group = variable("GROUP")
    autoscaling = client("autoscaling")
    [found] = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])[
        "AutoScalingGroups"
    ]
    desired, most = found["DesiredCapacity"], found["MaxSize"]
    store = store_of(_queue())
    backlog = store.backlog(time.time(), most)
    queued = backlog.ready
    if not store.is_paused():
        # Jobs that other programs put on the queue are not in the table yet.
        depths = Queue(client("sqs"), _queue()).depths()
        queued = max(queued, depths["ApproximateNumberOfMessages"])
    wanted = workers_wanted(queued, backlog.started, 1, most)
    if wanted > desired:
        autoscaling.set_desired_capacity(
            AutoScalingGroupName=group, DesiredCapacity=wanted, HonorCooldown=False
        )
    return {"queued": queued, "started": backlog.started, "desired": desired, "wanted": wanted}


def _queue() -> str:
    return names.default_queue(variable("FLEET"))


@cache
def _rules() -> IntakeRules:
    is_shell = os.environ.get("SHOAL_COMMAND_TYPE") == "ShellScript"
    document = SHELL_DOCUMENT if is_shell else POWERSHELL_DOCUMENT
    return msgspec.structs.replace(settings().intake_rules, ssm_document=document)


@cache
def _introduce() -> None:
    """Tell the scheduler of our queue about our bucket, once a process."""
    queue_facts().say(
        _queue(),
        FleetFacts(variable("BUCKET"), variable("WORKING_DIRECTORY"), float(variable("TIMEOUT_S"))),
    )
