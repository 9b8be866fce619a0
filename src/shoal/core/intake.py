"""Intake: an object's key -> the job it starts, or a reason why not. Pure: reads no bucket."""

from __future__ import annotations

import msgspec

from shoal.core.errors import SpecError
from shoal.core.spec import SHELL_DOCUMENT, JobSpec, check_key_path, validate


class IntakeRules(msgspec.Struct, frozen=True):
    """What an environment asks of, and gives to, the jobs that come from its bucket."""

    trigger_suffixes: tuple[str, ...]
    retry: int
    job_success_string: str
    ssm_document: str = SHELL_DOCUMENT


def is_executable(key: str, rules: IntakeRules) -> bool:
    """Whether an object of this key is to start a job."""
    return key.endswith(rules.trigger_suffixes)


def plan_job(key: str, rules: IntakeRules) -> JobSpec:
    """The job that the executable at `key` stands for; its id is the key.

    Its batch is the topmost folder: what was dropped in together lies there together.

    Raises:
        SpecError: the key can't be a job, with the reason.
    """
    if problem := check_key_path(key):
        raise SpecError(f"executable {key!a} {problem}", "rename it")
    folder, _, name = key.rpartition("/")
    if not folder:
        raise SpecError(
            f"executable {key!a} lies at the top of the bucket, so everything would be its "
            "job folder",
            "put it and its inputs into a folder of their own",
        )
    return validate(
        JobSpec(
            job_id=key,
            retry=rules.retry,
            job_success_string=rules.job_success_string,
            ssm_document=rules.ssm_document,
            folder=folder,
            executable=name,
            batch=folder.partition("/")[0],
        )
    )
