"""Somebody who looks at a dashboard in a browser, and notes what no page of ours may do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

PATIENCE_MS = 30_000.0

TELL_OF_POLICY = """document.addEventListener("securitypolicyviolation", (event) => {
    console.error(`against the policy: ${event.violatedDirective} ${event.blockedURI}`);
});"""


class Visitor:
    """A browser of somebody's own, with its cookies, at one dashboard.

    Args:
        browser: to open it in.
        url: of the dashboard, with its token.
        options: of the browser's context: `viewport`, `color_scheme` and such.
    """

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self.host = urlsplit(url).netloc
        self.complaints: list[str] = []
        self._context = browser.new_context(base_url=f"http://{self.host}", **options)
        self._context.set_default_timeout(PATIENCE_MS)
        self._context.add_init_script(TELL_OF_POLICY)
        self._context.on("request", lambda request: self._note_request(request.url))
        self.page = self._context.new_page()
        self.page.on("console", lambda said: self._note_word(said.type, said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("dialog", lambda dialog: self._refuse(dialog))

    def open(self, path: str = "/") -> Page:
        """Come in by the URL that was printed, and look at a page."""
        if path == "/":
            self.page.goto(self.url)
        else:
            self._context.request.get(self.url)  # which leaves the cookie, and draws nothing
            self.page.goto(path)
        return self.page

    def cookies(self) -> list[Any]:
        """What the dashboard has left in the browser."""
        return self._context.cookies()

    def forgive(self, *parts: str) -> None:
        """Forget complaints that a test has provoked, and must have."""
        kept = [of for of in self.complaints if not any(part in of for part in parts)]
        assert len(kept) < len(self.complaints), f"nothing about {parts}"
        self.complaints = kept

    def leave(self) -> None:
        """Close the browser."""
        self._context.close()

    def _note_request(self, url: str) -> None:
        if urlsplit(url).netloc != self.host:
            self.complaints.append(f"asks another host: {url}")

    def _note_word(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")

    def _refuse(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


Visit = Callable[..., Visitor]
"""Makes a visitor to a dashboard, with options of its browser's context."""


def printed_url(child: subprocess.Popen[str]) -> str:
    """The URL that `shoal up` or `shoal ui` prints, as soon as it does."""
    lines = []
    stream = child.stdout if "ui" in child.args else child.stderr  # type: ignore[operator]
    assert stream is not None
    for line in stream:
        lines.append(line)
        if "?token=" in line:
            return line.split()[-1]
    raise AssertionError(f"no URL: {lines}")
