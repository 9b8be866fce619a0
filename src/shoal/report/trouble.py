"""What went wrong: attempts that failed, and attempts whose worker went away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from shoal.core.job import Ending, Job, Status
from shoal.report.distribution import Distribution, distribution
from shoal.report.spans import Span


class Retries(msgspec.Struct, frozen=True):
    """Attempts that ended unconfirmed, and what became of their jobs.

    Args:
        failed_attempts: how many there were.
        jobs: how many jobs had one.
        saved: of these jobs, those that are Successful all the same.
        lost_s: the workers' time that the failed attempts took.
    """

    failed_attempts: int
    jobs: int
    saved: int
    lost_s: float


class Interruptions(msgspec.Struct, frozen=True):
    """Attempts that ended because their worker went away.

    Args:
        attempts: how many.
        jobs, workers: of how many.
        lost_s: the workers' time they had taken.
        again_s: between an interruption and the next start of that job.
    """

    attempts: int
    jobs: int
    workers: int
    lost_s: float
    again_s: Distribution | None


def retries_of(jobs: Iterable[Job], spans: Iterable[Span], took: Mapping[Span, float]) -> Retries:
    """Count what failed; `took` is how long each span is."""
    failed = [span for span in spans if span.ending is Ending.FAILED]
    names = {span.job_id for span in failed}
    saved = sum(job.job_id in names and job.status is Status.SUCCESSFUL for job in jobs)
    return Retries(len(failed), len(names), saved, sum(took[span] for span in failed))


def interruptions_of(by_job: Mapping[str, list[Span]], took: Mapping[Span, float]) -> Interruptions:
    """Count what was interrupted, from the spans of each job and how long each is."""
    cut: list[Span] = []
    again: list[float] = []
    for spans in by_job.values():
        for place, span in enumerate(spans):
            if span.ending is Ending.INTERRUPTED and span.ended_at is not None:
                cut.append(span)
                if place + 1 < len(spans):
                    again.append(max(0.0, spans[place + 1].started_at - span.ended_at))
    return Interruptions(
        attempts=len(cut),
        jobs=len({span.job_id for span in cut}),
        workers=len({span.worker for span in cut}),
        lost_s=sum(took[span] for span in cut),
        again_s=distribution(again),
    )
