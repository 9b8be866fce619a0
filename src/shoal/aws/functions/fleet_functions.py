"""The functions of a fleet's stack: uploads become jobs, and jobs become workers."""

from __future__ import annotations

import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any
from urllib.parse import unquote_plus

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from shoal.aws import names
from shoal.aws.functions.wiring import client, queue_facts, settings, variable
from shoal.aws.functions.wiring import store as store_of
from shoal.aws.queues import Queue
from shoal.aws.runner import FleetFacts
from shoal.core.errors import NotAllowed, ShoalError, SpecError
from shoal.core.intake import IntakeRules, is_executable, plan_job
from shoal.core.scaling import workers_wanted
from shoal.core.spec import POWERSHELL_DOCUMENT, SHELL_DOCUMENT
from shoal.ports import Submission

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)

THREADS = 16

FIRST_LOOK, GROWTH = 4, 3
"""Workers for messages that the table knows nothing of: a few, then more each time we look."""


def intake(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Turn uploaded executables into jobs; what can't become one is refused with the reason.

    Returns:
        The messages that could not be dealt with: SQS delivers them again.
    """
    _introduce()
    told = {message["messageId"]: _keys(message["body"]) for message in event["Records"]}
    found: list[tuple[str, Submission]] = []
    failed: list[str] = []
    with ThreadPoolExecutor(THREADS) as pool:
        looks = {
            message: [pool.submit(_look, key) for key in keys] for message, keys in told.items()
        }
        for message, futures in looks.items():
            try:
                jobs = [future.result() for future in futures]
                found += [(message, job) for job in jobs if job is not None]
            except (ClientError, BotoCoreError):
                log.exception("message %s is left for later", message)
                failed.append(message)
    failed += _submit(found)
    return {"batchItemFailures": [{"itemIdentifier": message} for message in dict.fromkeys(failed)]}


def _keys(body: str) -> list[str]:
    """The executables that S3 tells of."""
    return [
        key
        for record in json.loads(body).get("Records", ())
        if record["s3"]["bucket"]["name"] == variable("BUCKET")
        and is_executable(key := unquote_plus(record["s3"]["object"]["key"]), _rules())
    ]


def _look(key: str) -> Submission | None:
    """The job of an executable, as it is in the bucket now.

    What S3 says comes in any order, and late; the object itself tells which version counts.
    """
    try:
        found = client("s3").head_object(Bucket=variable("BUCKET"), Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey", "405", "MethodNotAllowed"):
            log.info("%r is not there any more", key)
            return None
        raise
    if names.MARK in found.get("Metadata", {}):
        return None  # a result, or submitted by the client that uploaded it
    version = found.get("VersionId") or found["ETag"].strip('"')
    if store_of(_queue()).starts_no_job(key, version):
        return None
    try:
        if found["ContentLength"] == 0:
            raise SpecError(f"executable {key!a} is empty", "upload one that holds something")
        return Submission(plan_job(key, _rules()), version)
    except SpecError as refused:
        _refuse(key, version, refused)
        return None


def _submit(found: list[tuple[str, Submission]]) -> list[str]:
    """Submit jobs; those messages whose jobs could not be."""
    store, now = store_of(_queue()), time.time()
    failed = []
    try:
        store.submit([submission for _, submission in found], now)
    except (ShoalError, ClientError, BotoCoreError):  # one of them; the others go by themselves
        log.exception("%d jobs are submitted one by one", len(found))
        for message, submission in found:
            try:
                store.submit([submission], now)
            except (NotAllowed, SpecError) as refused:
                _refuse(submission.spec.job_id, submission.delivery_id, refused)
            except (ShoalError, ClientError, BotoCoreError):
                log.exception("message %s is left for later", message)
                failed.append(message)
    return failed


def _refuse(key: str, version: str, why: ShoalError) -> None:
    log.warning("refused %r: %s", key, why)
    store_of(_queue()).refuse(key, version, str(why), time.time())


def scale(_: Any, __: Any) -> dict[str, int]:
    """Set how many workers are wanted. Never fewer: workers retire themselves."""
    _introduce()
    group = variable("GROUP")
    autoscaling = client("autoscaling")
    [found] = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])[
        "AutoScalingGroups"
    ]
    desired, most, members = found["DesiredCapacity"], found["MaxSize"], len(found["Instances"])
    store = store_of(_queue())
    backlog = store.backlog(time.time(), most)
    queued = backlog.ready
    if not store.is_paused():
        # Jobs that other programs put on the queue are not in the table yet, and tickets of jobs
        # that were cancelled still are on the queue: so only some more for what is beyond.
        depths = Queue(client("sqs"), _queue()).depths()
        beyond = depths["ApproximateNumberOfMessages"] - queued
        queued += max(0, min(beyond, max(FIRST_LOOK, GROWTH * members)))
    wanted = workers_wanted(queued, backlog.started, 1, most)
    # What was wanted and never came is not wanted any more; a worker that is there stays.
    capacity = wanted if wanted > desired else min(desired, max(wanted, members))
    if capacity != desired:
        autoscaling.set_desired_capacity(
            AutoScalingGroupName=group, DesiredCapacity=capacity, HonorCooldown=False
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
