"""Confirm: decide from exit code, success string and required files whether an attempt succeeded.

Unknown is not success: only an exit code of 0, nothing against it, and all that was asked for.
"""

from __future__ import annotations

import signal as signals

import msgspec

from shoal.core.spec import JobSpec


class Ended(msgspec.Struct, frozen=True, gc=False):
    """The facts about an attempt that ended, gathered by a runner.

    Args:
        exit_code: of the job's first process; None when it never ran or a signal ended it.
        signal: the number of the signal that ended it.
        timed_out_s: the limit in seconds, when we ended it for running longer.
        problem: why it could not be started, or its results not be taken, in words.
        retry_helps: False when another attempt must end the same way.
        found_string: whether the success string is in the output; None when nobody looked.
        missing_files: the required files that are not there; None when nobody looked.
        last_output: the last words of the output, to explain a failure.
        output_tail: the end of the output, for a table that shows it.
    """

    exit_code: int | None = None
    signal: int | None = None
    timed_out_s: float | None = None
    problem: str | None = None
    retry_helps: bool = True
    found_string: bool | None = None
    missing_files: tuple[str, ...] | None = None
    last_output: str = ""
    output_tail: str = ""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The verdict on an attempt, with its reason in words."""

    confirmed: bool
    reason: str
    exit_code: int | None = None
    retry_helps: bool = True
    output_tail: str = ""


CONFIRMED = "confirmed"


def confirm(spec: JobSpec, ended: Ended) -> Outcome:
    """Judge an attempt.

    Args:
        spec: what was asked for.
        ended: what is known about how it ended.
    """
    problem = _first_problem(spec, ended)
    if problem is None:
        return Outcome(True, CONFIRMED, ended.exit_code, output_tail=ended.output_tail)
    return Outcome(False, problem, ended.exit_code, ended.retry_helps, ended.output_tail)


def _first_problem(spec: JobSpec, ended: Ended) -> str | None:
    if ended.timed_out_s is not None:
        return f"timed out after {ended.timed_out_s:g} s"
    if ended.problem is not None:
        return ended.problem
    if ended.signal is not None:
        return f"ended by signal {_signal_name(ended.signal)}" + _quote(ended.last_output)
    if ended.exit_code is None:
        return "how it ended is not known"
    if ended.exit_code != 0:
        return f"exit code {ended.exit_code}" + _quote(ended.last_output)
    if spec.wants_string and not ended.found_string:
        return f"success string {spec.job_success_string!r} is not in the output"
    if spec.required_files and ended.missing_files is None:
        return "whether the required files are there is not known"
    if ended.missing_files:
        return f"required file missing: {', '.join(ended.missing_files)}"
    return None


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return str(number)


def _quote(last_output: str) -> str:
    return f", last output: {last_output}" if last_output else ""
