"""A browser, and two dashboards to visit: of an environment at work, and of a large one at rest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.cli.shell import Shell

from .visitor import PATIENCE_MS, Visit, Visitor, printed_url

MANY = 10_000
NEEDLE = "deep/in/the/needle-4711"


class Dashboard(NamedTuple):
    """A dashboard that is served, and the shell of who serves it."""

    shell: Shell
    url: str


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; each visitor has cookies and windows of their own in it."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium here: Debian's package is 'chromium'")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Makes visitors; at the end none may have seen an error, a dialog, or a foreign request."""
    visitors: list[Visitor] = []

    def come(dashboard: Dashboard, **options: Any) -> Visitor:
        visitors.append(Visitor(chromium, dashboard.url, **options))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.leave()
    assert [complaint for visitor in visitors for complaint in visitor.complaints] == []


@pytest.fixture(scope="session")
def served(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The dashboard of `shoal up`, with two workers for what the tests submit."""
    shell = Shell(tmp_path_factory.mktemp("busy"))
    shell.variables["SHOAL_LINGER_S"] = "60"
    try:
        yield Dashboard(shell, printed_url(shell.start("up", "--max-workers", "2")))
    finally:
        shell.close()


@pytest.fixture
def busy(served: Dashboard) -> Iterator[Dashboard]:
    """The same, for one test: what it leaves running is cancelled."""
    yield served
    with served.shell.client() as client:
        client.resume()
        if client.jobs(limit=1):
            client.cancel("*")
    served.shell.wait()


@pytest.fixture(scope="session")
def large(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The dashboard of `shoal ui`, of ten thousand queued jobs and a few others; nobody works."""
    shell = Shell(tmp_path_factory.mktemp("large"))
    names = [f"run/{number:05}" for number in range(MANY)]
    names[MANY // 2] = NEEDLE
    (shell.folder / "names.csv").write_text("\n".join(["name", *names]))
    command = ("--command", "echo {name}", "--id", "{name}", "--batch", "many")
    try:
        shell.type("submit", "--sweep", "names.csv", *command)
        shell.type("submit", "--command", "true", "--id", "odd/one", "--batch", "few")
        shell.type("submit", "--command", "true", "--id", "odd/two", "--batch", "few")
        shell.type("cancel", "odd/two", "run/00007")
        yield Dashboard(shell, printed_url(shell.start("ui", "--no-open")))
    finally:
        shell.close()
