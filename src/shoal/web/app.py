"""The dashboard as an ASGI application: which page is where, and what errors look like."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from shoal.client import Client
from shoal.core.errors import BucketError, JobNotFound, NotAllowed, ShoalError, SpecError
from shoal.report.live import Sampler
from shoal.web.access import Access, Keys
from shoal.web.clients import Clients
from shoal.web.pages import actions, downloads, job, jobs, overview, workers
from shoal.web.site import FIRST_LOOK_S, HERE, Refused, Site, site_of


def make_app(
    name: str,
    connect: Callable[[], Client],
    keys: Keys,
    is_stopping: Callable[[], bool],
) -> Starlette:
    """The dashboard of an environment.

    Args:
        name: of the environment.
        connect: opens a client of it.
        keys: what lets people in.
        is_stopping: whether the server is about to end.
    """
    static = HERE / "static"
    static_path = f"/static/{_version(static)}"
    clients = Clients(name, connect)
    sampler = Sampler(connect)
    site = Site(name, clients, sampler, keys, static_path, is_stopping)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sampler.start()
        try:
            await run_in_threadpool(sampler.fresh, FIRST_LOOK_S)  # so that the first page is quick
            yield
        finally:
            await run_in_threadpool(sampler.close)
            clients.close()

    app = Starlette(
        routes=[
            Route("/", overview.show),
            Route("/now", overview.now),
            Route("/history", overview.history),
            Route("/activity", overview.activity),
            Route("/jobs", jobs.show),
            Route("/job", job.show),
            Route("/job/state", job.state),
            Route("/job/files", job.files),
            Route("/job/live", job.live),
            Route("/log", downloads.log),
            Route("/file", downloads.file),
            Route("/workers", workers.show),
            Route("/workers/now", workers.now),
            Route("/workers/timeline", workers.timeline),
            Route("/cancel", actions.cancel, methods=["POST"]),
            Route("/retry", actions.retry, methods=["POST"]),
            Route("/pause", actions.pause, methods=["POST"]),
            Route("/resume", actions.resume, methods=["POST"]),
            Mount(static_path, StaticFiles(directory=static)),
        ],
        middleware=[Middleware(Access, keys=keys, open_below="/static/", refuse=site.refuse)],
        exception_handlers={
            ShoalError: _explain,
            OSError: _explain_system,
            HTTPException: _no_page,
            Exception: _defect,
        },
        lifespan=lifespan,
    )
    app.state.site = site
    return app


def _version(folder: Path) -> str:
    """Changes with every change of a file, so that browsers may keep what they have."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _explain(request: Request, error: Exception) -> Response:
    assert isinstance(error, ShoalError)
    titles = {
        JobNotFound: (404, "No such job"),
        BucketError: (404, "No such file"),
        NotAllowed: (409, "That can't be done now"),
        SpecError: (400, "That makes no sense"),
        Refused: (403, "Not done"),
    }
    status, title = titles.get(type(error), (503, "The environment can't be used"))
    return site_of(request).message(request, status, title, error.what, error.remedy)


def _explain_system(request: Request, error: Exception) -> Response:
    remedy = "look at what it names, then try again"
    return site_of(request).message(request, 503, "The system refuses", str(error), remedy)


def _no_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    site = site_of(request)
    if error.status_code == 405:
        what, remedy = "this is only done by a button on a page", "go back and use it"
        return site.message(request, 405, "Not done", what, remedy)
    what, remedy = f"there is no page {request.url.path}", "the links above lead to all there are"
    return site.message(request, error.status_code, "No such page", what, remedy)


def _defect(request: Request, error: Exception) -> Response:
    what = f"the dashboard has a defect ({type(error).__name__})"
    remedy = "what it printed where it was started tells more"
    return site_of(request).message(request, 500, "Something went wrong", what, remedy)
