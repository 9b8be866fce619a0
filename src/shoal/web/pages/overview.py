"""The overview: how many jobs, who works, what failed."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shoal.client import Client
from shoal.core.job import Status
from shoal.ports import Order, Query
from shoal.web.site import Site, site_of

FEW = 8
POINTS = 300


def show(request: Request) -> Response:
    """The whole page."""
    site = site_of(request)
    with site.clients.lend() as client:
        values = _activity(client) | _now(site, client)
        return site.page(request, "overview.html", values)


def now(request: Request) -> Response:
    """What changes all the time."""
    site = site_of(request)
    with site.clients.lend() as client:
        return site.part("_now.html", _now(site, client))


def activity(request: Request) -> Response:
    """The jobs that run, and those that failed last."""
    site = site_of(request)
    with site.clients.lend() as client:
        return site.part("_activity.html", _activity(client))


def history(request: Request) -> Response:
    """The figures of the last quarter of an hour, for the charts."""
    return JSONResponse(site_of(request).sampler.history(POINTS))


def _now(site: Site, client: Client) -> dict[str, object]:
    """A pause is asked for anew: whoever has just pressed the button wants to see it."""
    return {"sample": site.sample(), "paused": client.is_paused()}


def _activity(client: Client) -> dict[str, object]:
    """A few of both; failures as far as they are found soon."""
    running = [job for job in client.recent(time.time(), FEW) if job.status is Status.STARTED]
    order = Order.ENDED if Order.ENDED in client.orders else Order.NEWEST
    failed = client.page(Query(statuses=(Status.FAILED,), order=order), limit=FEW).jobs
    return {"running": running, "failed": failed}
