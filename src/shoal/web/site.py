"""What all pages share: clients, templates, and the notes that one page leaves for the next."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from shoal import __version__
from shoal.core.errors import ShoalError, StoreError
from shoal.core.job import Status
from shoal.environment import is_cloud
from shoal.report.live import Sample, Sampler
from shoal.report.words import full_clock, spoken
from shoal.web import look
from shoal.web.access import Keys
from shoal.web.clients import Clients

HERE = Path(__file__).parent
FORM_BYTES = 64 << 10
KEPT_NOTES = 100
NOTE_S = 60
FIRST_LOOK_S, NEXT_LOOK_S = 5.0, 0.05
"""How long a page waits for figures: when there are none yet, and when there are only old ones."""


class Refused(ShoalError):
    """A request that none of our pages sends."""

    code = "refused_request"


class Note(NamedTuple):
    """What an action has to say on the page that follows it."""

    kind: str
    text: str


class Site:
    """The dashboard of one environment.

    Args:
        name: of the environment.
        clients: of it.
        sampler: looks at it all the time, for the figures.
        keys: of the server.
        static: the path of styles and scripts.
        is_stopping: whether the server is about to end, so that streams should.
    """

    def __init__(
        self,
        name: str,
        clients: Clients,
        sampler: Sampler,
        keys: Keys,
        static: str,
        is_stopping: Callable[[], bool],
    ) -> None:
        self.name = name
        self.clients = clients
        self.sampler = sampler
        self.keys = keys
        self.is_stopping = is_stopping
        self.is_afar = is_cloud(name)
        self.refresh_s = 5 if self.is_afar else 2
        self._static = static
        self._notes: dict[str, Note] = {}
        self._note_cookie = f"{keys.cookie}-note"
        self._templates = _templates(self)

    def sample(self) -> Sample:
        """What the environment was like a moment ago.

        Raises:
            StoreError: it can't be looked at.
        """
        # After a rest, the figures are of whenever somebody looked last.
        wait_s = FIRST_LOOK_S if self.sampler.is_resting else NEXT_LOOK_S
        sample = self.sampler.fresh(wait_s) or self.sampler.fresh(FIRST_LOOK_S)
        if sample is None:
            why = self.sampler.error or "the first look at it takes long"
            raise StoreError(f"{self.name} can't be shown ({why})", "load the page again")
        return sample

    def page(
        self,
        request: Request,
        template: str,
        values: dict[str, object],
        status_code: int = 200,
    ) -> Response:
        """A whole page."""
        key = request.cookies.get(self._note_cookie)
        note = self._notes.pop(key, None) if key else None
        given = {"note": note, "path": request.url.path} | values
        response = self.part(template, given, status_code)
        if note is not None:
            response.delete_cookie(self._note_cookie)
        return response

    def part(self, template: str, values: dict[str, object], status_code: int = 200) -> Response:
        """A part of a page, or a page that takes no notes."""
        text = self._templates.get_template(template).render(values)
        return HTMLResponse(text.encode(errors="replace"), status_code)

    def message(
        self, request: Request, status_code: int, title: str, what: str, remedy: str
    ) -> Response:
        """A page that says what is wrong, and what to do."""
        values: dict[str, object] = {"title": title, "what": what, "remedy": remedy}
        return self.page(request, "message.html", values, status_code)

    def refuse(self, status_code: int, what: str, remedy: str) -> Response:
        """A page for somebody who may not be let in."""
        return self.part("locked.html", {"what": what, "remedy": remedy}, status_code)

    def go(self, where: str, kind: str, text: str) -> Response:
        """After an action: lead to a page that says what became of it."""
        key = secrets.token_urlsafe(16)
        while len(self._notes) >= KEPT_NOTES:
            self._notes.pop(next(iter(self._notes)))
        self._notes[key] = Note(kind, text)
        response = RedirectResponse(where, 303)
        response.set_cookie(
            self._note_cookie, key, max_age=NOTE_S, httponly=True, samesite="strict"
        )
        return response

    async def form(self, request: Request) -> dict[str, str]:
        """The fields of a form of ours.

        Raises:
            Refused: it is none of ours.
        """
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > FORM_BYTES:
                raise Refused("the form is too large", "use the pages")
        fields = parameters(body)
        if not self.keys.is_form(fields.get("form_key", "")):
            raise Refused(
                "this form is not from a page of this dashboard as it runs now",
                "nothing was changed; load the page again, then try once more",
            )
        return fields


def site_of(request: Request) -> Site:
    """The site that a request is for."""
    site: Site = request.app.state.site
    return site


def parameters(query: bytes) -> dict[str, str]:
    """Parameters of a URL or a form; names of files may be bytes that are no text."""
    text = query.decode("latin-1")
    pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
    return dict(reversed(pairs))


def query_of(request: Request) -> dict[str, str]:
    """The parameters of a request's URL; of several with one name, the first."""
    query: bytes = request.scope["query_string"]
    return parameters(query)


def number_in(given: dict[str, str], name: str) -> int | None:
    """A parameter that is a number of at most nine digits; None when it is none."""
    text = given.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _templates(site: Site) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        shown=look.shown,
        number=look.number,
        duration=spoken,
        clock=look.clock,
        full_clock=full_clock,
        job_text=look.job_text,
    )
    more: dict[str, Any] = {
        "site": site.name,
        "refresh_s": site.refresh_s,
        "form_key": site.keys.form,
        "static": site._static,
        "version": __version__,
        "url": look.url,
        "job_url": look.job_url,
        "changed_at": look.changed_at,
        "statuses": list(Status),
        "note": None,
        "path": "",
    }
    environment.globals.update(more)
    return environment
