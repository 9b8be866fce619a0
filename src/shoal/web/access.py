"""Who may use the dashboard: whoever has the token, from this machine, from our own pages.

Other programs on this machine can reach a loopback port, and so can any web page that its browser
shows. So there is a secret in the URL that is printed; it becomes a cookie. The Host header must
be ours (else another site's name could be made to lead here), and what changes something must come
from one of our pages: by the Origin, the browser's own word (Sec-Fetch-Site), and a second secret
that only our pages hold.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE_DAYS = 30
SAFE = ("GET", "HEAD")

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: then browsers send our own forms with `Origin: null`.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOT_KEPT = "no-store"
KEPT_FOR_EVER = "public, max-age=31536000, immutable"


class Keys:
    """The secrets of one server.

    Args:
        token: opens the dashboard.
        port: where it listens; cookies are shared by all ports of a host.
    """

    def __init__(self, token: str, port: int) -> None:
        self._token = token
        self.cookie = f"shoal-{port}"
        self.hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self.form = self._derived("form")
        self._session = self._derived("session")

    def _derived(self, purpose: str) -> str:
        return hmac.new(self._token.encode(), purpose.encode(), hashlib.sha256).hexdigest()

    def is_token(self, given: str) -> bool:
        """Whether it is what the printed URL has."""
        return _same(given, self._token)

    def is_session(self, given: str) -> bool:
        """Whether it is what the cookie has."""
        return _same(given, self._session)

    def is_form(self, given: str) -> bool:
        """Whether it is what the forms of our pages have."""
        return _same(given, self.form)

    def admit(self, response: Response) -> None:
        """Give the browser what lets it in from now on."""
        response.set_cookie(
            self.cookie,
            self._session,
            max_age=COOKIE_DAYS * 86_400,
            httponly=True,
            samesite="strict",
        )


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogatepass"), wanted.encode())


class Access:
    """ASGI middleware that lets through what may come, with the headers that keep it safe.

    Args:
        app: what is behind it.
        keys: of the server.
        open_below: the path below which anybody may read: styles and scripts.
        refuse: makes the page that says why not, from a status, what, and what to do.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        open_below: str,
        refuse: Callable[[int, str, str], Response],
    ) -> None:
        self._app = app
        self._keys = keys
        self._open_below = open_below
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_open = scope["path"].startswith(self._open_below)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in PAGE_HEADERS.items():
                    headers.setdefault(name, value)
                kept = is_open and message["status"] < 400
                headers["Cache-Control"] = KEPT_FOR_EVER if kept else NOT_KEPT
            await send(message)

        answer = self._answer(scope, is_open) or self._app
        await answer(scope, receive, send_safely)

    def _answer(self, scope: Scope, is_open: bool) -> Response | None:
        """What to answer at once; None lets the request through."""
        keys = self._keys
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in keys.hosts:
            return self._refuse(
                403, "This is not the address of this dashboard", f"Open http://{keys.hosts[0]}/."
            )
        if scope["method"] in SAFE:
            if is_open:
                return None
            query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            given = [value for name, value in query if name == "token"]
            if scope["path"] == "/" and given and keys.is_token(given[0]):
                rest = urlencode([pair for pair in query if pair[0] != "token"])
                admitted = RedirectResponse(f"/?{rest}" if rest else "/", 303)
                keys.admit(admitted)
                return admitted
        elif scope["method"] != "POST":
            return self._refuse(405, f"There is no {scope['method'][:20]} here", "Use the pages.")
        elif (headers.get("origin") or f"http://{host}") != f"http://{host}" or headers.get(
            "sec-fetch-site", "same-origin"
        ) != "same-origin":
            return self._refuse(
                403, "Another site has sent this request", "Nothing was changed. Use the pages."
            )
        if not keys.is_session(HTTPConnection(scope).cookies.get(keys.cookie, "")):
            return self._refuse(403, "This dashboard is locked", "")
        return None
