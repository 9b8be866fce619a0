"""How things look on pages: times, numbers, texts that come from jobs, and URLs."""

from __future__ import annotations

import time
from datetime import datetime
from urllib.parse import quote

from shoal.core.job import Finished, Job, Queued, Started
from shoal.report.words import spoken, visible


def shown(text: object) -> str:
    """Text from a job, with a mark in place of what has no look of its own or turns others."""
    return visible(str(text))


def number(value: float) -> str:
    """A number with its thousands set apart."""
    return f"{value:,.0f}".replace(",", "\u202f")


def clock(at: float) -> str:
    """A time of day, with the date when that is not today's."""
    moment, today = (datetime.fromtimestamp(of).astimezone() for of in (at, time.time()))
    if moment.date() == today.date():
        return moment.strftime("%H:%M:%S")
    return moment.strftime("%b %d, %H:%M" if moment.year == today.year else "%Y-%m-%d %H:%M")


def url(path: str, **parameters: object) -> str:
    """A path of ours with parameters, whatever their text; those that are None are left out."""
    given = "&".join(
        f"{name}={quote(str(value), safe='', errors='surrogateescape')}"
        for name, value in parameters.items()
        if value is not None
    )
    return f"{path}?{given}" if given else path


def job_url(job_id: str) -> str:
    """The page of a job."""
    return url("/job", id=job_id)


def job_text(job: Job) -> str:
    """What there is to say about a job's state, in a line."""
    now = time.time()
    match job.state:
        case Queued(not_before):
            return f"next attempt in {spoken(not_before - now)}" if not_before > now else ""
        case Started(lease):
            return f"on {lease.worker} for {spoken(now - lease.started_at)}"
        case Finished(_, reason, _, _):
            return reason


def changed_at(job: Job) -> float:
    """When a job last did something that its row knows of."""
    match job.state:
        case Started(lease):
            return lease.started_at
        case Finished(_, _, _, at):
            return at
        case Queued():
            return job.submitted_at
