"""Spans: when which worker was busy with which attempt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from shoal.core.job import Attempt, Ending, Job, Started


class Span(NamedTuple):
    """A stretch of a worker's time that one attempt took.

    Args:
        job_id: of the job.
        worker: who ran it.
        run, attempt: the attempt's token.
        started_at: in seconds since the epoch.
        ended_at: the same; None while it runs.
        ending: how it ended; None while it runs.
        reason: why, in words; empty while it runs.
    """

    job_id: str
    worker: str
    run: int
    attempt: int
    started_at: float
    ended_at: float | None
    ending: Ending | None
    reason: str


def spans_of(
    jobs: Iterable[Job], attempts_by_job: Mapping[str, Sequence[Attempt]], now: float
) -> list[Span]:
    """The spans of jobs: of their attempts that ended, and of those that run.

    Args:
        jobs: as read from the store.
        attempts_by_job: what `Client.attempts_of` says of them.
        now: in seconds since the epoch; no span begins later, whatever another clock has said.

    Returns:
        The spans, those first that began first.
    """
    spans = []
    for job in jobs:
        for of in attempts_by_job.get(job.job_id, ()):
            spans.append(
                Span(
                    job.job_id,
                    of.worker,
                    of.run,
                    of.attempt,
                    min(of.started_at, now),
                    max(of.ended_at, min(of.started_at, now)),
                    of.ending,
                    of.reason,
                )
            )
        if isinstance(job.state, Started):
            lease = job.state.lease
            began = min(lease.started_at, now)
            spans.append(Span(job.job_id, lease.worker, *job.token, began, None, None, ""))
    return sorted(spans, key=lambda span: span.started_at)


def end_of(span: Span, now: float) -> float:
    """When a span ended: now, while it runs."""
    return now if span.ended_at is None else span.ended_at
