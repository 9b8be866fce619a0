"""What can be seen of the environment at one moment, and the news between two such moments."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from shoal.client import Client
from shoal.core.job import Attempt, Ending, Job, Queued, Started, Status
from shoal.ports import Worker


class Look(NamedTuple):
    """One look, all of it asked of the environment.

    Args:
        at: when, in seconds since the epoch.
        jobs: by job id, in the order of submission.
        workers: those alive, by name.
    """

    at: float
    jobs: dict[str, Job]
    workers: dict[str, Worker]

    def count(self, status: Status) -> int:
        """How many jobs have a status."""
        return sum(job.status == status for job in self.jobs.values())

    @property
    def over(self) -> int:
        """How many jobs are."""
        return sum(job.status.is_final for job in self.jobs.values())

    @property
    def running(self) -> dict[str, tuple[Job, Started]]:
        """What each worker that has a job runs, by the worker's name."""
        return {
            job.state.lease.worker: (job, job.state)
            for job in self.jobs.values()
            if isinstance(job.state, Started)
        }


NOTHING = Look(0.0, {}, {})


class Kind(StrEnum):
    """What a piece of news is about."""

    STEP = "step"
    WORKER = "worker"
    TROUBLE = "trouble"
    RECOVERY = "recovery"


class News(NamedTuple):
    """One line for the person who watches."""

    kind: Kind
    text: str


def look(client: Client, now: float) -> Look:
    """Look at an environment."""
    jobs = {job.job_id: job for job in reversed(client.jobs())}
    return Look(now, jobs, {worker.worker: worker for worker in client.workers()})


def news(client: Client, before: Look, now: Look) -> list[News]:
    """What happened between two looks and is worth a line.

    Args:
        client: for the attempts of the jobs to which something happened.
        before: the earlier look.
        now: the later one.
    """
    found = [News(Kind.WORKER, text) for text in _news_of_workers(before, now)]
    for job in now.jobs.values():
        old = before.jobs.get(job.job_id)
        if old == job or job.attempt == 0:
            continue
        failures, interruptions, attempt = _counters(old)
        if job.failures > failures:
            found.append(News(Kind.TROUBLE, _failed(client, job, now.at)))
        if job.interruptions > interruptions:
            found.append(News(Kind.RECOVERY, _interrupted(client, job)))
        if job.attempt > max(1, attempt) and isinstance(job.state, Started):
            where = job.state.lease.worker
            found.append(
                News(Kind.RECOVERY, f"{job.job_id} starts again on {where}, attempt {job.attempt}")
            )
        if job.attempt > 1 and job.status.is_final and (old is None or not old.status.is_final):
            ended = client.attempts(job.job_id)[-1]
            kind = Kind.RECOVERY if job.status == Status.SUCCESSFUL else Kind.TROUBLE
            found.append(
                News(kind, f"{job.job_id} is {job.status} on {ended.worker}, attempt {job.attempt}")
            )
    return found


def _news_of_workers(before: Look, now: Look) -> list[str]:
    lines = [
        f"worker {name} started (process {worker.pid})"
        for name, worker in now.workers.items()
        if name not in before.workers
    ]
    lines += [f"worker {name} is gone" for name in before.workers if name not in now.workers]
    if lines:
        lines[-1] += f"; workers {len(before.workers)} -> {len(now.workers)}"
    return lines


def _failed(client: Client, job: Job, now: float) -> str:
    text = f"{job.job_id} failed: {_last(client, job, Ending.FAILED).reason}; retries {job.retries}"
    if isinstance(job.state, Queued) and job.state.not_before > now:
        text += f", again in {job.state.not_before - now:.1f} s"
    return text


def _interrupted(client: Client, job: Job) -> str:
    attempt = _last(client, job, Ending.INTERRUPTED).attempt
    text = f"{job.job_id}: attempt {attempt} was interrupted, the job queued again"
    return f"{text}; retries {job.retries}"


def _counters(job: Job | None) -> tuple[int, int, int]:
    return (job.failures, job.interruptions, job.attempt) if job is not None else (0, 0, 0)


def _last(client: Client, job: Job, ending: Ending) -> Attempt:
    """The last attempt that ended so; the job's counters say that there is one."""
    return [of for of in client.attempts(job.job_id) if of.ending == ending][-1]
