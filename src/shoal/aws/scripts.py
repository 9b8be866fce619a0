"""What SSM is asked to run for an attempt: a job spec and a place -> document and parameters.

Pure: text in, text out. What comes from a user is data in the script, never part of its code.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from shoal.aws import linux, windows
from shoal.aws.names import short_hash
from shoal.core.errors import SpecError
from shoal.core.spec import POWERSHELL_DOCUMENT, SHELL_DOCUMENT, JobSpec

MAX_EXECUTION_S = 172_800
"""SSM runs nothing longer than two days."""

SHORTEST_EXECUTION_S = 5
"""What is shorter, SSM's agent takes for an hour."""

STAGING_S = 3_600
"""What a job folder may take to come and its results to go, beside the attempt's own time."""

MAX_SCRIPT_BYTES = 60_000
"""SSM allows 64 KB for a document with its parameters; the documents themselves need little."""


class Place(NamedTuple):
    """Where and how an attempt runs.

    Args:
        token: its fencing token, `run.attempt`.
        bucket: the drop bucket; None when the queue has none.
        working_directory: the folder by which executables may refer to their files.
        timeout_s: how long the attempt may run.
        environment_name: what a job's own `shoal` talks to, e.g. `aws:my-stack`.
    """

    token: str
    bucket: str | None
    working_directory: str
    timeout_s: float
    environment_name: str

    def folder_name(self, job_id: str) -> str:
        """The name of the attempt's own folder, on whatever machine it runs."""
        return f"{short_hash(job_id)}-{self.token}"

    def variables(self, spec: JobSpec) -> dict[str, str]:
        """The environment variables of the job, beside the machine's; as a local worker sets."""
        run, _, attempt = self.token.partition(".")
        return {
            "SHOAL_ENV": self.environment_name,
            **spec.environment,
            "SHOAL_JOB_ID": spec.job_id,
            "SHOAL_RUN": run,
            "SHOAL_ATTEMPT": attempt,
        }


def render(spec: JobSpec, place: Place) -> tuple[str, dict[str, list[str]]]:
    """The SSM document that runs an attempt, and the parameters to send with it.

    Raises:
        SpecError: the job can't be run by SSM: it is too long, or needs a bucket there is not.
    """
    if spec.folder is not None and place.bucket is None:
        raise _refuse(
            spec,
            "it has a job folder, but its queue has no bucket",
            "send it to the job queue of a fleet stack, which has one",
        )
    if spec.ssm_document == SHELL_DOCUMENT:
        script = linux.render(spec, place)
    elif spec.ssm_document == POWERSHELL_DOCUMENT:
        script = windows.render(spec, place)
    else:
        return spec.ssm_document, _parameters(spec)
    size_bytes = len(script.encode(errors="surrogateescape"))
    if size_bytes > MAX_SCRIPT_BYTES:
        raise _refuse(
            spec,
            f"SSM takes at most {MAX_SCRIPT_BYTES:,} bytes of script, and this one has"
            f" {size_bytes:,}",
            "put the commands into a file of the job folder and make it the executable",
        )
    # One text, not one a line: nothing on the way can drop an empty line or trim one.
    return spec.ssm_document, {
        "commands": [script],
        "executionTimeout": [str(execution_timeout_s(spec, place))],
    }


def execution_timeout_s(spec: JobSpec, place: Place) -> int:
    """After how many seconds SSM kills the attempt, whatever it is doing then.

    The script of a job with a folder ends the job itself when its time is over, with exit code
    124, and stages out what it has: SSM's own limit leaves room for that.
    """
    staging_s = 0 if spec.folder is None else STAGING_S
    return max(SHORTEST_EXECUTION_S, math.ceil(min(place.timeout_s + staging_s, MAX_EXECUTION_S)))


def _parameters(spec: JobSpec) -> dict[str, list[str]]:
    """The parameters of a document that is no script: the user's own."""
    if spec.folder is not None:
        raise _refuse(
            spec,
            f"document {spec.ssm_document!a} can't stage a job folder",
            f"use {SHELL_DOCUMENT} or {POWERSHELL_DOCUMENT}, or leave the folder out",
        )
    parameters = {name: list(values) for name, values in spec.parameters.items()}
    if spec.commands:
        parameters["commands"] = list(spec.commands)
    return parameters


def _refuse(spec: JobSpec, what: str, remedy: str) -> SpecError:
    return SpecError(f"job {spec.job_id[:80]!a}: {what}", remedy)
