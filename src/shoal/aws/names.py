"""What things are called on AWS: names that follow from those of the stacks.

The templates in `infra/` use the same ones; a user of the original finds queues, table and tag
where they were.
"""

from __future__ import annotations

import hashlib

MARK = "shoal"
"""Object metadata: what a worker has uploaded carries its fencing token, so that no result ever
starts a job; what a client submits itself carries SUBMITTED."""

SUBMITTED = "submitted"


def default_queue(stack: str) -> str:
    """The job queue that a stack makes; the tag value of its workers."""
    return f"{stack}-job-queue"


def finished_queue(queue: str) -> str:
    """Where the jobs of a queue go that were Successful."""
    return f"{queue}-finished"


def failed_queue(queue: str) -> str:
    """Where the jobs of a queue go that Failed, and what could not become one."""
    return f"{queue}-failed"


def jobs_table(scheduler: str) -> str:
    """The table anybody can read."""
    return f"{scheduler}-job-monitoring"


def records_table(scheduler: str) -> str:
    """Workers, settlements, and what else is no job."""
    return f"{scheduler}-records"


def log_bucket(scheduler: str, account: str) -> str:
    """Where SSM puts the output of attempts, under the name of their queue."""
    return f"{scheduler}-{account}-logs"


def log_group(scheduler: str) -> str:
    """Where SSM streams the output of attempts that run."""
    return f"/shoal/{scheduler}/attempts"


def drop_bucket(fleet: str, account: str) -> str:
    """Where users drop job folders."""
    return f"{fleet}-{account}-drop-job-files"


def scale_queue(fleet: str) -> str:
    """Nudges for the scale function."""
    return f"{fleet}-scale"


def state_machine(scheduler: str) -> str:
    """The scheduler: one execution a worker."""
    return f"{scheduler}-scheduler"


def short_hash(text: str) -> str:
    """16 hexadecimal digits that stand for a text where it may not stand itself."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def command_comment(job_id: str, token: object) -> str:
    """What finds an attempt's command again; SSM allows 100 characters."""
    return f"shoal {short_hash(job_id)} {token}"


NUDGE_S = 2
"""Seconds from a job's arrival to the look at how many workers are wanted."""
