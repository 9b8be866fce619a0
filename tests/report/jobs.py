"""Hand-made jobs: what ran where and when, in seconds after a beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from shoal.core.job import (
    Attempt,
    Ending,
    Finished,
    Job,
    Lease,
    Queued,
    Started,
    Status,
)
from shoal.core.spec import JobSpec

T0 = 1_790_000_000.0
"""When the first job is submitted."""

S, F, CUT, C = Ending.SUCCESSFUL, Ending.FAILED, Ending.INTERRUPTED, Ending.CANCELLED
REASONS = {S: "confirmed", F: "exit code 1", CUT: "worker w-00000001 is gone", C: "cancelled"}


class Ran(NamedTuple):
    """An attempt that ended: from when to when it ran, where, and how it ended."""

    since: float
    until: float
    worker: str = "w-00000001"
    ending: Ending = Ending.SUCCESSFUL
    reason: str | None = None


class Made(NamedTuple):
    """Jobs, and their attempts by job id."""

    jobs: list[Job]
    attempts: dict[str, list[Attempt]]

    def add(
        self,
        job_id: str,
        *ran: Ran,
        submitted: float = 0.0,
        status: Status | None = None,
        runs_since: float | None = None,
        run: int = 1,
    ) -> None:
        """Add a job; its status is that of its last attempt, or Queued without one."""
        attempts = [
            Attempt(
                run,
                number,
                of.worker,
                T0 + of.since,
                T0 + of.until,
                of.ending,
                None,
                REASONS[of.ending] if of.reason is None else of.reason,
            )
            for number, of in enumerate(ran, 1)
        ]
        state: Queued | Started | Finished = Queued()
        if runs_since is not None:
            state = Started(Lease("w-00000001", T0 + runs_since, T0 + 1e6))
        elif attempts or status is not None:
            last = attempts[-1] if attempts else None
            ended = last.ended_at if last else T0 + submitted
            words = {
                S: Status.SUCCESSFUL,
                F: Status.FAILED,
                CUT: Status.FAILED,
                C: Status.CANCELLED,
            }
            given = status or words[last.ending if last else C]
            state = Finished(given, last.reason if last else "cancelled", None, ended)
        endings = [of.ending for of in ran]
        self.jobs.append(
            Job(
                spec=JobSpec(job_id, commands=("true",)),
                deliveries=("d",),
                run=run,
                attempt=len(ran) + (runs_since is not None),
                failures=endings.count(F),
                interruptions=endings.count(CUT),
                submitted_at=T0 + submitted,
                state=state,
            )
        )
        self.attempts[job_id] = attempts


def made() -> Made:
    """No jobs yet."""
    return Made([], {})


_tried = st.tuples(
    st.floats(0, 50),
    st.floats(0, 500),
    st.sampled_from(("w-00000001", "w-00000002", "i-0123456789abcdef0")),
    st.sampled_from((S, F, CUT)),
)


def _schedule(tried: Sequence[Sequence[tuple[float, float, str, Ending]]]) -> Made:
    found = made()
    free: dict[str, float] = {}
    for place, attempts in enumerate(tried):
        ran: list[Ran] = []
        last = 0.0
        for gap, took, worker, ending in attempts:
            since = max(free.get(worker, 0.0), last) + gap
            last = free[worker] = since + took
            ran.append(Ran(since, last, worker, ending))
        found.add(f"job{place}", *ran)
    return found


schedules = st.lists(st.lists(_tried, max_size=3), min_size=1, max_size=30).map(_schedule)
"""Sets of jobs such that no worker runs two at once, and no job is run twice at once."""
