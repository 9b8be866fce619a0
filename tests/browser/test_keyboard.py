"""All that can be done with a mouse can be done without."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.cli.shell import until

from .conftest import NEEDLE, Dashboard
from .visitor import Visit


def tab_to(page: Page, text: str) -> None:
    """Press Tab until what has the focus says a text."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if text in page.evaluate("document.activeElement.textContent"):
            return
    raise AssertionError(f"40 times Tab, and not at {text!r}")


def test_a_search_by_keyboard(large: Dashboard, visit: Visit) -> None:
    """From the overview: / to the search, type, Tab to what was found, Enter opens it."""
    page = visit(large).open()
    page.keyboard.press("/")
    field = page.get_by_role("searchbox", name="Search")
    expect(field).to_be_focused()
    page.keyboard.type("needle")
    found = page.get_by_role("link", name=NEEDLE)
    expect(page.locator("#rows .id")).to_have_text([NEEDLE])
    tab_to(page, "needle-4711")
    expect(found).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(NEEDLE)


def test_the_first_tab_skips_to_the_content(large: Dashboard, visit: Visit) -> None:
    """Who tabs need not pass the links above on each page, and sees where the focus is."""
    page = visit(large).open("/jobs")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox", name="Search")).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_buttons_by_keyboard(busy: Dashboard, visit: Visit, tmp_path: Path) -> None:
    """A job is cancelled with Tab and Enter alone."""
    busy.shell.submit("by/keys", until(tmp_path / "never"))
    page = visit(busy).open("/job?id=by/keys")
    expect(page.locator(".say .status")).to_have_text("Started")
    tab_to(page, "Cancel")
    page.keyboard.press("Enter")
    expect(page.locator(".say .status")).to_have_text("Cancelled")
