"""Whole outputs and result files, to be saved, never to be shown by the browser."""

from __future__ import annotations

from collections.abc import Generator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from shoal.client_ports import Reading
from shoal.core.job import Token
from shoal.web.look import shown
from shoal.web.pages.job import token_of
from shoal.web.site import Site, query_of, site_of
from shoal.web.stream import Stream

PIECE_BYTES = 256 << 10


def log(request: Request) -> Response:
    """All that an attempt has printed until now, byte for byte."""
    site = site_of(request)
    given = query_of(request)
    job_id = given.get("id", "")
    with site.clients.lend() as client:
        job = client.job(job_id)
        token = token_of(given) or job.token
        found = client.log(job, token)
        if found is not None:
            found.close()
    name = f"{job_id.rpartition('/')[2] or job_id}.{token}.log"
    return Stream(
        _output(site, job_id, token),
        media_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": attachment(name)},
    )


def file(request: Request) -> Response:
    """One result of a job."""
    site = site_of(request)
    given = query_of(request)
    key = given.get("key", "")
    with site.clients.lend() as client:
        reading = client.open_result(given.get("id", ""), key)
    return Stream(
        _pieces(reading),
        media_type="application/octet-stream",
        headers={
            "Content-Disposition": attachment(key.rpartition("/")[2]),
            "Content-Length": str(reading.size_bytes),
        },
    )


def attachment(name: str) -> str:
    """The header that makes a browser save something under a name (RFC 6266)."""
    name = shown(name).replace("/", "_").replace("\\", "_") or "file"
    plain = "".join(char if char.isascii() and char not in '"%' else "_" for char in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _output(site: Site, job_id: str, token: Token) -> Generator[bytes]:
    with site.clients.lend() as client:
        if token.attempt:
            yield from client.output(job_id, token)


def _pieces(reading: Reading) -> Generator[bytes]:
    """Exactly as much as was promised: the file may be growing."""
    left = reading.size_bytes
    try:
        while left and (piece := reading.read(min(PIECE_BYTES, left))):
            left -= len(piece)
            yield piece
    finally:
        reading.close()
