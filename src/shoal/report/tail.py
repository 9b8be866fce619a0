"""The end of a set of jobs: what ended last, and who had nothing to do meanwhile."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from shoal.core.job import Job, Status
from shoal.report.distribution import percentile
from shoal.report.spans import Span, end_of

LAST = 10
TAIL_SHARE = 90
FEWEST_FOR_A_TAIL = 10
"""With fewer jobs a tenth of them says nothing."""


class Tail(msgspec.Struct, frozen=True):
    """The end of a set of jobs, when fewer and fewer are left to run.

    Args:
        over_s: when so many per cent of the jobs were over, after the first submission.
        begins_s: when 90 per cent were: the tail begins.
        share: of the makespan that the tail takes.
        longest_job: the job whose attempts took longest together.
        longest_s: how long that was.
        longest_share: the same as a share of the makespan.
        crew: workers that were busy between half of the jobs being over and the tail.
        idle_s: what the crew had nothing to do in the tail, all workers together.
        idle_share: the same as a share of the crew's time in the tail.
    """

    over_s: dict[int, float]
    begins_s: float
    share: float
    longest_job: str
    longest_s: float
    longest_share: float
    crew: int
    idle_s: float
    idle_share: float


class Last(msgspec.Struct, frozen=True):
    """One of the jobs that ended last.

    Args:
        job_id, status: of the job.
        worker: who ran its last attempt; empty: nobody did.
        took_s: all its attempts together.
        attempts: how many those were.
        ended_s: after the first submission.
    """

    job_id: str
    status: Status
    worker: str
    took_s: float
    attempts: int
    ended_s: float


def tail_of(
    by_job: Mapping[str, list[Span]],
    took: Mapping[Span, float],
    ends: Mapping[str, float],
    spans: Sequence[Span],
    began_at: float,
    ended_at: float,
) -> Tail | None:
    """The tail of jobs that are all over; None with few of them.

    Args:
        by_job: the spans of each job.
        took: how long each span is.
        ends: when each job was over, in seconds since the epoch.
        spans: all of them.
        began_at, ended_at: the first submission and the last end.
    """
    makespan_s = ended_at - began_at
    if len(ends) < FEWEST_FOR_A_TAIL or not makespan_s:
        return None
    ordered = sorted(ends.values())
    over_at = {share: percentile(ordered, share) for share in (50, TAIL_SHARE, 99)}
    begins_at = over_at[TAIL_SHARE]
    sums = {name: sum(took[span] for span in of) for name, of in by_job.items()}
    longest = max(sums, key=sums.__getitem__, default="")
    longest_s = sums.get(longest, 0.0)
    crew = {
        span.worker
        for span in spans
        if span.started_at <= begins_at and end_of(span, ended_at) >= over_at[50]
    }
    busy_s = sum(
        min(end_of(span, ended_at), ended_at) - max(span.started_at, begins_at)
        for span in spans
        if span.worker in crew and end_of(span, ended_at) > begins_at
    )
    theirs_s = len(crew) * (ended_at - begins_at)
    idle_s = max(0.0, theirs_s - busy_s)
    return Tail(
        over_s={share: at - began_at for share, at in over_at.items()},
        begins_s=begins_at - began_at,
        share=(ended_at - begins_at) / makespan_s,
        longest_job=longest,
        longest_s=longest_s,
        longest_share=min(1.0, longest_s / makespan_s),
        crew=len(crew),
        idle_s=idle_s,
        idle_share=idle_s / theirs_s if theirs_s else 0.0,
    )


def last_of(
    jobs: Iterable[Job],
    by_job: Mapping[str, list[Span]],
    took: Mapping[Span, float],
    ends: Mapping[str, float],
    began_at: float,
) -> list[Last]:
    """The jobs that ended last, the very last first; arguments as of `tail_of`."""
    over = [job for job in jobs if job.job_id in ends]
    found = []
    for job in heapq.nlargest(LAST, over, key=lambda job: ends[job.job_id]):
        spans = by_job.get(job.job_id, [])
        found.append(
            Last(
                job_id=job.job_id,
                status=job.status,
                worker=spans[-1].worker if spans else "",
                took_s=sum(took[span] for span in spans),
                attempts=len(spans),
                ended_s=ends[job.job_id] - began_at,
            )
        )
    return found
