"""What changes by itself while one looks: counts, charts, workers, timeline; pause and resume."""

from __future__ import annotations

import re
import time
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.cli.shell import until

from .conftest import Dashboard
from .visitor import Visit


def count(page: Page, name: str) -> Locator:
    """A figure of the overview."""
    return page.locator(".count").filter(has_text=name).locator("b")


def test_the_overview_keeps_up_with_the_jobs(busy: Dashboard, visit: Visit, tmp_path: Path) -> None:
    """Counts, workers and what runs change on the page as they do in the environment."""
    page = visit(busy).open()
    page.evaluate("window.isSamePage = true")
    failed = int(count(page, "Failed").inner_text())
    go = tmp_path / "go"
    busy.shell.submit("seen/running", f"{until(go)}; exit 7")
    running = page.locator("section").filter(has_text="Running now")
    expect(running.get_by_role("link", name="seen/running")).to_be_visible()
    expect(count(page, "Started")).to_have_text("1")
    expect(count(page, "Workers")).to_have_text(re.compile("[12]"))
    expect(page.locator(".state")).to_contain_text("1 of 1 live jobs")
    go.touch()
    expect(count(page, "Failed")).to_have_text(str(failed + 1))
    expect(count(page, "Started")).to_have_text("0")
    broken = page.locator("section").filter(has_text="Failed last")
    expect(broken.get_by_role("row").nth(1)).to_contain_text("exit code 7")
    assert page.evaluate("window.isSamePage")


def test_the_charts_draw_what_was_seen(busy: Dashboard, visit: Visit) -> None:
    """Each chart has its curves, its figures of now, and something drawn on its canvas."""
    page = visit(busy).open()
    for name, words in (
        ("Jobs a minute", ("Successful", "Failed", "Cancelled")),
        ("Queue", ("Queued", "Started")),
        ("Workers", ("Workers",)),
    ):
        chart = page.locator("figure").filter(has=page.get_by_text(name, exact=True)).first
        for word in words:
            expect(chart.locator(".u-series").filter(has_text=word)).to_contain_text(
                re.compile(r"\d")
            )
        shown = chart.locator("canvas").evaluate(
            "of => of.getContext('2d').getImageData(0, 0, of.width, of.height).data.some(x => x)"
        )
        assert shown, name


def test_the_timeline_shows_what_ran_where(busy: Dashboard, visit: Visit, tmp_path: Path) -> None:
    """Two jobs at once are bars in two lanes; their workers are listed; a bar leads to its job."""
    go = tmp_path / "go"
    for name in ("bar/one", "bar/two"):
        busy.shell.submit(name, until(go))
    page = visit(busy).open("/workers")
    for name in ("bar/one", "bar/two"):
        expect(page.locator("#workers").get_by_role("link", name=name)).to_be_visible()
    page.reload()
    bars = page.locator("svg.gantt rect.running[y]").filter(has=page.locator("title"))
    expect(bars).to_have_count(2)
    lanes = {bar.get_attribute("y") for bar in bars.all()}
    assert len(lanes) == 2
    page.locator("svg.gantt a[href*='bar%2Ftwo']").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("bar/two")
    go.touch()
    expect(page.locator(".say .status")).to_have_text("Successful")
    page.go_back()
    page.get_by_role("link", name="1 h", exact=True).click()
    expect(page.locator("svg.gantt a[href*='bar%2Fone'] .successful")).to_be_visible()


def test_nothing_starts_between_pause_and_resume(busy: Dashboard, visit: Visit) -> None:
    """Pause holds the queue, which the page shows; after Resume the job starts, not before."""
    page = visit(busy).open()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("nothing else starts")).to_be_visible()
    busy.shell.submit("held")
    expect(count(page, "Queued")).to_have_text("1")
    expect(page.locator(".state")).to_contain_text("Paused")
    page.goto("/workers")
    expect(page.get_by_text("paused")).to_be_visible()
    page.goto("/")
    # The queue is looked at again before it is let go.
    looked_at = time.time()
    expect(count(page, "Queued")).to_have_text("1")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Resumed.")).to_be_visible()
    expect(count(page, "Queued")).to_have_text("0")
    busy.shell.wait()
    with busy.shell.client() as client:
        (attempt,) = client.attempts("held")
    assert attempt.started_at > looked_at
