"""The workers: who is alive, what each does, and what ran where."""

from __future__ import annotations

import time
from typing import NamedTuple

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from shoal.client import Client
from shoal.core.job import Job, Started
from shoal.report.gantt import gantt_svg
from shoal.report.spans import spans_of
from shoal.web.look import job_url
from shoal.web.site import Site, number_in, query_of, site_of

MOST_JOBS = 2_000
AFAR_S = 30
"""Between two looks at a timeline whose jobs are read by paid calls."""

NARROWEST, WIDTH, WIDEST = 640, 1_180, 4_000


class Window(NamedTuple):
    """How far a timeline goes back, what that is called, and how often to draw it anew."""

    name: str
    length_s: int
    label: str
    refresh_s: int


WINDOWS = (
    Window("15m", 900, "15 min", 5),
    Window("1h", 3_600, "1 h", 10),
    Window("6h", 21_600, "6 h", 30),
    Window("24h", 86_400, "24 h", 60),
)


def show(request: Request) -> Response:
    """The whole page."""
    site = site_of(request)
    with site.clients.lend() as client:
        values = _workers(site, client)
    window = _window(request)
    refresh_s = max(window.refresh_s, AFAR_S) if site.is_afar else window.refresh_s
    values |= {"window": window, "windows": WINDOWS, "redraw_s": refresh_s}
    return site.page(request, "workers.html", values)


def now(request: Request) -> Response:
    """Who does what now."""
    site = site_of(request)
    with site.clients.lend() as client:
        return site.part("_workers.html", _workers(site, client))


def timeline(request: Request) -> Response:
    """What ran where, as a picture."""
    site = site_of(request)
    window = _window(request)
    now = time.time()
    since = now - window.length_s
    with site.clients.lend() as client:
        jobs = client.recent(since, MOST_JOBS)
        spans = spans_of(jobs, client.attempts_of(jobs), now)
    is_cut = len(jobs) == MOST_JOBS
    begun = [
        of.ended_at if is_cut else of.started_at for of in spans if (of.ended_at or now) > since
    ]
    since = max(since, min((at for at in begun if at is not None), default=since))
    drawn = gantt_svg(spans, since, now, job_url=job_url, width=_width(query_of(request)))
    picture = Markup(drawn)  # noqa: S704 (it escapes)
    values = {"picture": picture, "is_cut": is_cut, "most": MOST_JOBS}
    return site.part("_timeline.html", values)


def _window(request: Request) -> Window:
    name = query_of(request).get("window", "")
    return next((of for of in WINDOWS if of.name == name), WINDOWS[0])


def _width(given: dict[str, str]) -> int:
    """Pixels that the page has room for, as its script says."""
    return min(max(number_in(given, "width") or WIDTH, NARROWEST), WIDEST)


def _workers(site: Site, client: Client) -> dict[str, object]:
    sample = site.sample()
    does: dict[str, list[Job]] = {}
    for job in client.recent(time.time(), MOST_JOBS):
        if isinstance(job.state, Started):
            does.setdefault(job.state.lease.worker, []).append(job)
    return {"sample": sample, "does": does, "now": time.time()}
