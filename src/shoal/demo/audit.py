"""Whether the story ended as it should: what is wrong, in words, or nothing. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from shoal.core.job import Ending, Job, Status
from shoal.demo.example import Corner
from shoal.demo.story import Facts


def problems(facts: Facts, corners: list[Corner]) -> list[str]:
    """All that is not as it should be.

    Args:
        facts: what was read back from the environment.
        corners: what was asked for.
    """
    return [
        *_with_jobs(facts, corners),
        *_with_the_retry(facts, corners),
        *_with_the_kill(facts),
        *_with_the_fleet(facts),
    ]


def _with_jobs(facts: Facts, corners: list[Corner]) -> Iterator[str]:
    jobs = facts.look.jobs
    if len(jobs) != len(corners):
        yield f"{len(corners)} job folders were dropped in, but there are {len(jobs)} jobs"
    settled = Counter(settlement.job_id for settlement in facts.settlements)
    for job_id, job in jobs.items():
        if job.status != Status.SUCCESSFUL:
            yield f"{job_id} is {job.status}"
        if settled[job_id] != 1:
            yield f"{job_id} was settled {settled[job_id]} times"
    for unknown in settled.keys() - jobs.keys():
        yield f"{unknown} was settled, but there is no such job"
    for corner in corners:
        if corner.name not in facts.delays_ps:
            yield f"{corner.name} has no result"


def _with_the_retry(facts: Facts, corners: list[Corner]) -> Iterator[str]:
    expected = {corner.name for corner in corners if corner.fail_once}
    retried = {job.spec.folder or job.job_id for job in facts.retried}
    for name in sorted(expected - retried):
        yield f"{name} should have failed once"
    for name in sorted(retried - expected):
        yield f"{name} should not have failed"


def _with_the_kill(facts: Facts) -> Iterator[str]:
    if not facts.interrupted:
        yield "no worker was killed while it ran a job"
    for kill, job, _ in facts.interrupted:
        if job.failures != len(_workers_of(facts, job, Ending.FAILED)):
            yield f"the interruption of {job.job_id} has used up a retry"
        if kill.worker in _workers_of(facts, job, Ending.SUCCESSFUL):
            yield f"{job.job_id} was finished by the killed worker {kill.worker}"
    for pid in facts.leftovers:
        yield f"process {pid} of a killed worker still runs"


def _with_the_fleet(facts: Facts) -> Iterator[str]:
    for worker in facts.look.workers:
        yield f"worker {worker} is still there"
    if facts.up_exit != 0:
        how = "did not end" if facts.up_exit is None else f"ended with exit code {facts.up_exit}"
        yield f"'shoal up' {how} when asked to"


def _workers_of(facts: Facts, job: Job, ending: Ending) -> list[str]:
    """The workers on which a job's attempts ended so, one for each attempt."""
    attempts = facts.attempts[job.job_id]
    return [attempt.worker for attempt in attempts if attempt.ending == ending]
