"""Giving back what a lost worker had. Every way in which a worker ends comes through here."""

from __future__ import annotations

import time

from shoal.aws.functions.wiring import settings
from shoal.aws.functions.wiring import store as store_of
from shoal.core.errors import StaleToken
from shoal.core.job import Started


def give_back(worker: str, queue: str, reason: str) -> str | None:
    """Put the job of a worker back on its queue, uncounted, and end its command; which it was."""
    store = store_of(queue)
    job = store.assigned(worker)
    if job is None:
        return None
    assert isinstance(job.state, Started)
    try:
        # Before its command is ended: that end must not be taken for the job's own.
        store.interrupt(job, reason, time.time(), settings().max_interruptions, 0.0)
    except StaleToken:
        return None  # settled, or given back by somebody else
    store.stop(job.job_id, worker, job.token)
    store.nudge()
    return job.job_id
