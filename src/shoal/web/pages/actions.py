"""What the buttons do. Each leads to a page that says what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from shoal.client import Client
from shoal.core.errors import NotAllowed
from shoal.web.look import job_url
from shoal.web.site import site_of


async def cancel(request: Request) -> Response:
    """Cancel one job."""
    return await _one(
        request,
        lambda client, job_id: client.environment.store.cancel(job_id, time.time()),
        "Cancelled.",
    )


async def retry(request: Request) -> Response:
    """Queue one job again."""
    return await _one(
        request,
        lambda client, job_id: client.environment.store.retry(job_id, time.time()),
        "Queued again.",
    )


async def pause(request: Request) -> Response:
    """Let no job start."""
    return await _all(request, Client.pause, "Paused: what runs goes on, nothing else starts.")


async def resume(request: Request) -> Response:
    """End a pause."""
    return await _all(request, Client.resume, "Resumed.")


async def _one(request: Request, change: Callable[[Client, str], Any], said: str) -> Response:
    site = site_of(request)
    fields = await site.form(request)
    job_id = fields.get("id", "")

    def act() -> Response:
        with site.clients.lend() as client:
            try:
                change(client, job_id)
            except NotAllowed as error:
                return site.go(job_url(job_id), "bad", f"{error}")
        return site.go(job_url(job_id), "good", said)

    return await run_in_threadpool(act)


async def _all(request: Request, change: Callable[[Client], object], said: str) -> Response:
    site = site_of(request)
    fields = await site.form(request)

    def act() -> Response:
        with site.clients.lend() as client:
            change(client)
        return site.go(_back(fields.get("back", "")), "good", said)

    return await run_in_threadpool(act)


def _back(where: str) -> str:
    """The page that a form was on, if it is one of ours."""
    return where if where in ("/", "/jobs", "/workers") else "/"
