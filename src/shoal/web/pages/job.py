"""The page of one job: its state, attempts, output and files."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from shoal.client import Client
from shoal.core.errors import JobNotFound, ShoalError
from shoal.core.job import Job, Token
from shoal.core.spec import JobSpec
from shoal.web.follow import Follower
from shoal.web.site import Site, query_of, site_of
from shoal.web.stream import Stream

SIGN_OF_LIFE_S = 15.0
FILES_SHOWN = 500
STOP_POLLING = 286
"""A status of htmx's own."""

SHOWN_ELSEWHERE = {"job_id", "commands", "executable", "folder", "batch"}


def show(request: Request) -> Response:
    """The whole page."""
    site = site_of(request)
    given = query_of(request)
    with site.clients.lend() as client:
        job = client.job(given.get("id", ""))
        values = _state(client, job)
    values |= {"token": token_of(given), "settings": _settings(job.spec)}
    return site.page(request, "job.html", values)


def state(request: Request) -> Response:
    """What changes while the job is not over."""
    site = site_of(request)
    with site.clients.lend() as client:
        job = client.job(query_of(request).get("id", ""))
        values = _state(client, job)
    if not job.status.is_final:
        return site.part("_job_state.html", values)
    last = site.part("_job_state.html", values, STOP_POLLING)
    last.headers["HX-Trigger"] = "job-ended"
    return last


def files(request: Request) -> Response:
    """The results of the job."""
    site = site_of(request)
    with site.clients.lend() as client:
        job = client.job(query_of(request).get("id", ""))
        keys = client.results(job.job_id)
        prefix = f"{job.spec.folder}/" if job.spec.folder is not None else ""
        found = [(key, key.removeprefix(prefix)) for key in keys[:FILES_SHOWN]]
    values = {"job": job, "files": found, "left_out": len(keys) - len(found)}
    return site.part("_files.html", values)


async def live(request: Request) -> Response:
    """The output as it comes, as a stream of events."""
    site = site_of(request)
    given = query_of(request)
    follower = Follower(given.get("id", ""), token_of(given))
    first, every_s = await run_in_threadpool(_look, site, follower)
    headers = {"X-Accel-Buffering": "no"}
    stream = _events(site, follower, first, every_s)
    return Stream(stream, "text/event-stream", headers)


async def _events(
    site: Site, follower: Follower, lines: str, every_s: float
) -> AsyncGenerator[str]:
    said_at = time.monotonic()
    try:
        while True:
            now = time.monotonic()
            if lines or now - said_at >= SIGN_OF_LIFE_S:
                yield lines or ":\n\n"
                said_at = now
            if "event: end\n" in lines or site.is_stopping():
                return
            await anyio.sleep(every_s)
            try:
                lines, every_s = await run_in_threadpool(_look, site, follower)
            except ShoalError as error:
                yield _event("trouble", {"text": str(error)})
                return
    finally:
        follower.close()


def _look(site: Site, follower: Follower) -> tuple[str, float]:
    """What is new as events, and how long to wait for more."""
    with site.clients.lend() as client:
        news = follower.look(client)
        every_s = client.environment.logs.look_every_s
    lines = [_event(of.kind, {"token": of.token, "text": of.text, "cut": of.cut}) for of in news]
    return "".join(lines), every_s


def _event(kind: str, data: dict[str, object]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def _state(client: Client, job: Job) -> dict[str, object]:
    attempts = client.attempts(job.job_id)
    return {"job": job, "attempts": attempts[::-1], "now": time.time()}


def token_of(given: dict[str, str]) -> Token | None:
    """The attempt that a URL names; None when it names none."""
    text = given.get("token", "")
    if not text:
        return None
    run, _, attempt = text.partition(".")
    for part in (run, attempt):
        if not (part.isascii() and part.isdecimal() and len(part) < 10):
            raise JobNotFound(f"{text[:30]!r} names no attempt", "the page of the job lists them")
    return Token(int(run), int(attempt))


def _settings(spec: JobSpec) -> list[tuple[str, object]]:
    """The keys of the job JSON that were set and have no place of their own on the page."""
    plain = JobSpec(spec.job_id)
    return [
        (name, value)
        for name in spec.__struct_fields__
        if name not in SHOWN_ELSEWHERE and (value := getattr(spec, name)) != getattr(plain, name)
    ]
