"""How one comes in, and what becomes of the dashboard when its processes end."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import expect

from tests.cli.shell import PATIENCE_S, Shell, wait_until

from .conftest import Dashboard
from .visitor import Visit, printed_url


@pytest.fixture
def own(visit: Visit, tmp_path: Path) -> Iterator[tuple[Dashboard, subprocess.Popen[str]]]:
    """A dashboard that may be ended, and its `shoal up`."""
    shell = Shell(tmp_path)
    up = shell.start("up", "--max-workers", "1")
    yield Dashboard(shell, printed_url(up)), up
    shell.close()


def servers(up: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that serve the dashboard."""
    children = psutil.Process(up.pid).children()
    return [child for child in children if "--with-parent" in child.cmdline()]


def test_the_printed_url_lets_in_and_is_left_behind(busy: Dashboard, visit: Visit) -> None:
    """The token of the URL becomes a cookie that scripts can't read; the clean URL stays."""
    visitor = visit(busy)
    page = visitor.open()
    expect(page).to_have_url(f"http://{visitor.host}/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    (cookie,) = visitor.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    page.goto("/jobs")
    expect(page.get_by_role("searchbox", name="Search")).to_be_visible()


def test_without_the_token_nobody_comes_in(busy: Dashboard, visit: Visit) -> None:
    """Without the token, or with another, no page shows anything."""
    visitor = visit(busy)
    for path in ("/", "/jobs", "/?token=another"):
        answer = visitor.page.goto(path)
        assert answer is not None
        assert answer.status == 403
        expect(visitor.page.get_by_role("heading")).to_have_text("This dashboard is locked")
    assert visitor.cookies() == []
    visitor.forgive("403 (Forbidden)")


def test_a_killed_dashboard_is_there_again_for_the_next_visit(
    own: tuple[Dashboard, subprocess.Popen[str]], visit: Visit
) -> None:
    """When the dashboard's process is killed, the next click works: cookie and port stay."""
    dashboard, up = own
    assert servers(up) == []
    visitor = visit(dashboard)
    page = visitor.open()
    (server,) = servers(up)
    server.kill()
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Jobs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
    assert server.pid != servers(up)[0].pid


def test_ctrl_c_ends_the_dashboard_too_and_its_page_says_so(
    own: tuple[Dashboard, subprocess.Popen[str]], visit: Visit
) -> None:
    """After Ctrl-C in `shoal up` no process is left, and a page that is still open tells."""
    dashboard, up = own
    visitor = visit(dashboard)
    page = visitor.open()
    expect(page.get_by_text("No answer from the dashboard")).to_be_hidden()
    up.send_signal(signal.SIGINT)
    assert up.wait(PATIENCE_S) == 0
    wait_until(lambda: dashboard.shell.processes() == [], "all processes to end")
    expect(page.get_by_text("No answer from the dashboard")).to_be_visible()
    visitor.forgive("net::ERR", "htmx:")
