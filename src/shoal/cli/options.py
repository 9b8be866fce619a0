"""Options that several verbs share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class FiniteRange(click.FloatRange):
    """Numbers from one to another; `nan` and `inf` are none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read what was typed."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a valid number.", param, ctx)
        return number


def environment_option(function: F) -> F:
    """`-e/--env`: which environment."""
    return click.option(
        "-e",
        "--env",
        "environment",
        envvar="SHOAL_ENV",
        metavar="NAME",
        help="A folder, or aws:STACK[@REGION].  [default: SHOAL_ENV, else the current folder]",
    )(function)


def json_option(function: F) -> F:
    """`--json`: for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(
        function
    )


def jobs_argument(*, required: bool) -> Callable[[F], F]:
    """`JOB...`: ids or glob patterns."""
    return click.argument(
        "jobs", metavar="[JOB]...", nargs=-1, required=required, shell_complete=complete_jobs
    )


def batch_option(function: F) -> F:
    """`--batch`: the jobs of one submission."""
    return click.option(
        "--batch", metavar="ID", help="Only jobs of this batch: 'shoal submit' says its id."
    )(function)


def need_jobs(jobs: tuple[str, ...], batch: str | None) -> None:
    """Refuse a verb that changes jobs when nobody says which."""
    if not jobs and batch is None:
        raise click.UsageError("Name jobs by id or glob, or a batch with --batch.")


def complete_jobs(context: click.Context, parameter: click.Parameter, start: str) -> list[str]:
    """Job ids that begin with what was typed, for shell completion."""
    from shoal.client import connect
    from shoal.core.errors import ShoalError

    try:
        with connect(context.params.get("environment"), create=False) as client:
            escaped = "".join(f"[{char}]" if char in "*?[" else char for char in start)
            return [job.job_id for job in client.jobs(f"{escaped}*", limit=50)]
    except ShoalError:
        return []
