"""The figures of a set of jobs: how long it took, where the time went, and what went wrong.

Pure statistics over jobs and their attempts. Only the last run of each job counts: what earlier
runs of it did is counted, and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from shoal.core.job import Attempt, Ending, Finished, Job, Status
from shoal.report.cost import Cost, cost_of
from shoal.report.distribution import Distribution, binned, distribution
from shoal.report.reasons import Reason, reasons
from shoal.report.spans import Span, end_of, spans_of
from shoal.report.tail import Last, Tail, last_of, tail_of
from shoal.report.trouble import Interruptions, Retries, interruptions_of, retries_of
from shoal.report.words import counted, percent, spoken

INTERVALS = 60


class WorkerFigures(msgspec.Struct, frozen=True):
    """What a worker did.

    Args:
        worker: its name.
        first_at, last_at: its first attempt's start and its last one's end, epoch seconds.
        attempts: how many it ran.
        endings: these by how they ended; those that run are in none.
        busy_s: how long it ran one.
        of_life: that as a share of the time between first and last.
        of_makespan: the same of the time all the jobs took.
    """

    worker: str
    first_at: float
    last_at: float
    attempts: int
    endings: dict[Ending, int]
    busy_s: float
    of_life: float
    of_makespan: float


class Interval(msgspec.Struct, frozen=True):
    """What ended in a part of the time, by status; times in seconds after the first submission."""

    since_s: float
    until_s: float
    ended: dict[Status, int]


class Figures(msgspec.Struct, frozen=True):
    """All that is to be said of a set of jobs. Times in seconds, `..._at` since the epoch.

    Args:
        made_at: when this was found.
        headline: it all in a sentence.
        jobs: how many there are.
        counts: these by status.
        began_at: the first submission.
        ended_at: when the last job was over; while some are not, when this was made.
        makespan_s: between the two.
        throughput_s: jobs that were over a second of it.
        attempts: of the last run of each job, with those that run.
        earlier_attempts: of runs before the last, which are left out.
        most_at_once: attempts at the same time.
        waits: from a job's submission to its first start.
        runs: of attempts that ended by themselves, successful or failed.
        successful_runs: of those that were successful.
        busy_s: all workers together, with an attempt.
        useful_s: in attempts that were successful.
        life_s: all workers together, from their first start to their last end.
        utilisation: busy as a share of life.
        tail: None with few jobs, and while some are not over.
        last: the jobs that ended last, the very last first.
        retries, interruptions: what went wrong.
        reasons: why, those first that occur most.
        workers: in the order they began.
        over_time: parts of the makespan of equal length.
        cost: hours of machines, and on AWS the services.
    """

    made_at: float
    headline: str
    jobs: int
    counts: dict[Status, int]
    began_at: float
    ended_at: float
    makespan_s: float
    throughput_s: float
    attempts: int
    earlier_attempts: int
    most_at_once: int
    waits: Distribution | None
    runs: Distribution | None
    successful_runs: Distribution | None
    busy_s: float
    useful_s: float
    life_s: float
    utilisation: float
    tail: Tail | None
    last: list[Last]
    retries: Retries
    interruptions: Interruptions
    reasons: list[Reason]
    workers: list[WorkerFigures]
    over_time: list[Interval]
    cost: Cost


def last_runs(
    jobs: Iterable[Job], attempts_by_job: Mapping[str, Sequence[Attempt]]
) -> dict[str, list[Attempt]]:
    """The attempts of the last run of each job."""
    return {
        job.job_id: [of for of in attempts_by_job.get(job.job_id, ()) if of.run == job.run]
        for job in jobs
    }


def figures_of(
    jobs: Sequence[Job],
    attempts_by_job: Mapping[str, Sequence[Attempt]],
    now: float,
    *,
    in_cloud: bool = False,
    hourly_usd: float | None = None,
    types: Mapping[str, str] | None = None,
) -> Figures:
    """Find the figures of a set of jobs.

    Args:
        jobs: at least one.
        attempts_by_job: what `Client.attempts_of` says of them.
        now: in seconds since the epoch.
        in_cloud: whether the services of AWS are paid for.
        hourly_usd: the price of a machine's hour; None: not known.
        types: instance types by worker, as far as they are known.
    """
    attempts = last_runs(jobs, attempts_by_job)
    spans = spans_of(jobs, attempts, now)
    by_job = _by(spans, lambda span: span.job_id)
    by_worker = _by(spans, lambda span: span.worker)
    counts = dict.fromkeys(Status, 0)
    for job in jobs:
        counts[job.status] += 1
    over = sum(number for status, number in counts.items() if status.is_final)
    ends = _ends(jobs)
    began_at = min(job.submitted_at for job in jobs)
    # Clocks of different machines: nothing has begun before it was submitted.
    if spans:
        began_at = min(began_at, spans[0].started_at)
    ended_at = max(ends.values(), default=now) if over == len(jobs) else now
    ended_at = max(ended_at, began_at)
    makespan_s = ended_at - began_at
    took = {span: end_of(span, ended_at) - span.started_at for span in spans}
    busy_s = sum(took.values())
    workers = [_worker(name, of, took, ended_at, makespan_s) for name, of in by_worker.items()]
    life_s = sum(of.last_at - of.first_at for of in workers)
    figures = Figures(
        made_at=now,
        headline="",
        jobs=len(jobs),
        counts=counts,
        began_at=began_at,
        ended_at=ended_at,
        makespan_s=makespan_s,
        throughput_s=over / makespan_s if makespan_s else 0.0,
        attempts=len(spans),
        earlier_attempts=sum(map(len, attempts_by_job.values())) - sum(map(len, attempts.values())),
        most_at_once=_most_at_once(spans, ended_at),
        waits=distribution(_waits(jobs, by_job)),
        runs=_runs(took, Ending.SUCCESSFUL, Ending.FAILED),
        successful_runs=_runs(took, Ending.SUCCESSFUL),
        busy_s=busy_s,
        useful_s=sum(s for span, s in took.items() if span.ending is Ending.SUCCESSFUL),
        life_s=life_s,
        utilisation=min(1.0, busy_s / life_s) if life_s else 0.0,
        tail=tail_of(by_job, took, ends, spans, began_at, ended_at) if over == len(jobs) else None,
        last=last_of(jobs, by_job, took, ends, began_at),
        retries=retries_of(jobs, spans, took),
        interruptions=interruptions_of(by_job, took),
        reasons=reasons(spans),
        workers=workers,
        over_time=_over_time(jobs, began_at, makespan_s),
        cost=cost_of(
            len(jobs),
            took.values(),
            {of.worker: of.last_at - of.first_at for of in workers},
            dict(types or {}),
            in_cloud=in_cloud,
            hourly_usd=hourly_usd,
        ),
    )
    return msgspec.structs.replace(figures, headline=headline(figures))


def headline(of: Figures) -> str:
    """The figures in a sentence."""
    ended = ", ".join(
        f"{number:,} {status}" for status, number in of.counts.items() if number and status.is_final
    )
    left = of.counts[Status.QUEUED] + of.counts[Status.STARTED]
    where = f" on {counted(of.most_at_once, 'worker')}" if of.most_at_once else ""
    if left == of.jobs:
        return f"{counted(of.jobs, 'job')}, none of them over after {spoken(of.makespan_s)}{where}."
    said = f"{counted(of.jobs, 'job')} in {spoken(of.makespan_s)}{where}: {ended}"
    if left:
        said += f", and {left:,} not over yet"
    if of.life_s:
        said += f"; {percent(of.utilisation)} of the workers' time was work"
    return said + "."


def _by(spans: Iterable[Span], key: Callable[[Span], str]) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(key(span), []).append(span)
    return found


def _ends(jobs: Iterable[Job]) -> dict[str, float]:
    return {job.job_id: job.state.finished_at for job in jobs if isinstance(job.state, Finished)}


def _waits(jobs: Iterable[Job], by_job: Mapping[str, list[Span]]) -> list[float]:
    return [
        max(0.0, by_job[job.job_id][0].started_at - job.submitted_at)
        for job in jobs
        if job.job_id in by_job
    ]


def _runs(took: Mapping[Span, float], *endings: Ending) -> Distribution | None:
    return distribution(took_s for span, took_s in took.items() if span.ending in endings)


def _most_at_once(spans: Iterable[Span], now: float) -> int:
    changes = [(span.started_at, 1) for span in spans]
    changes += [(end_of(span, now), -1) for span in spans]
    at_once = most = 0
    for _, change in sorted(changes):  # at the same moment, ends come first
        at_once += change
        most = max(most, at_once)
    return most


def _worker(
    name: str,
    spans: Sequence[Span],
    took: Mapping[Span, float],
    now: float,
    makespan_s: float,
) -> WorkerFigures:
    first, last = spans[0].started_at, max(end_of(span, now) for span in spans)
    busy_s = sum(took[span] for span in spans)
    endings = [span.ending for span in spans]
    return WorkerFigures(
        worker=name,
        first_at=first,
        last_at=last,
        attempts=len(spans),
        endings={ending: endings.count(ending) for ending in Ending},
        busy_s=busy_s,
        of_life=min(1.0, busy_s / (last - first)) if last > first else 1.0,
        of_makespan=min(1.0, busy_s / makespan_s) if makespan_s else 1.0,
    )


def _over_time(jobs: Sequence[Job], began_at: float, makespan_s: float) -> list[Interval]:
    if not makespan_s:
        return []
    edges = [makespan_s * place / INTERVALS for place in range(INTERVALS + 1)]
    ended = {
        status: binned(
            (
                job.state.finished_at - began_at
                for job in jobs
                if isinstance(job.state, Finished) and job.status is status
            ),
            edges,
        )
        for status in Status
        if status.is_final
    }
    return [
        Interval(since, until, {status: counts[place] for status, counts in ended.items()})
        for place, (since, until) in enumerate(pairwise(edges))
    ]
