"""What jobs bring may look like a page: names, output, reasons, files. It stays text."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from .conftest import Dashboard
from .visitor import Visit, Visitor

NAME = "<script>alert(1)</script>"
BATCH = "\"><img src=x onerror=alert('batch')>"
OUTPUT = "</pre><img src=x onerror=alert('output')><script>alert('output')</script>"
MISSING = "<svg onload=alert('reason')>.csv"
FILE = "'\"><img src=x onerror=alert('file')>.txt"
FOLDER = "{{ 7 * 7 }} <b>folder</b>"


@pytest.fixture(scope="module")
def hostile(served: Dashboard) -> Dashboard:
    """A failed job of which everything that can be named is markup, and one that was cancelled."""
    folder = served.shell.folder / FOLDER
    folder.mkdir(parents=True)
    (folder / "input").touch()
    (folder / "print.txt").write_text(OUTPUT)
    keys = {"folder": FOLDER, "required_files": [MISSING], "tags": {NAME: OUTPUT}, "batch": BATCH}
    served.shell.submit(NAME, f"cat print.txt; echo content > {shell_quoted(FILE)}", **keys)
    served.shell.wait()
    assert served.shell.statuses()[NAME] == "Failed"
    return served


def shell_quoted(text: str) -> str:
    """A text as one word of a script."""
    return "'" + text.replace("'", "'\\''") + "'"


def injected(visitor: Visitor) -> list[str]:
    """Elements that none of our pages has."""
    found: list[str] = visitor.page.evaluate(
        """() => [...document.querySelectorAll(
            "img, iframe, object, embed, b:not(.count b), script:not([src]), [onerror], [onload]"
        )].map((of) => of.outerHTML)"""
    )
    return found


def test_a_job_that_is_named_like_a_script_is_a_text(hostile: Dashboard, visit: Visit) -> None:
    """Wherever jobs are listed, markup in what they bring is shown as it was written."""
    visitor = visit(hostile)
    page = visitor.open()
    name = page.get_by_role("link", name=NAME)
    for path in ("/", "/jobs", f"/jobs?q={quote(NAME)}", f"/jobs?batch={quote(BATCH)}"):
        page.goto(path)
        expect(name).to_be_visible()
        assert injected(visitor) == [], path
    for path in (f"/jobs?q={quote(OUTPUT)}", f"/jobs?status={quote(OUTPUT)}&order={quote(OUTPUT)}"):
        page.goto(path)
        assert injected(visitor) == [], path
    page.goto("/workers")
    expect(page.locator("svg.gantt").get_by_role("link").first).to_be_visible()
    assert injected(visitor) == []


def test_the_page_of_a_hostile_job_shows_all_of_it(
    hostile: Dashboard, visit: Visit, tmp_path: Path
) -> None:
    """Name, batch, reason, output, tags and files of a job can be read, and do nothing."""
    visitor = visit(hostile)
    page = visitor.open("/jobs")
    page.get_by_role("link", name=NAME).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    expect(page).to_have_title(f"{NAME} · {hostile.shell.folder} · Shoal")
    expect(page.locator(".say .reason")).to_have_text(f"required file missing: {MISSING}")
    expect(page.get_by_label("Output of the job")).to_have_text(OUTPUT)
    expect(page.get_by_role("link", name=f"Batch {BATCH}")).to_be_visible()
    expect(page.locator(".spec")).to_contain_text(f"{NAME}={OUTPUT}")
    expect(page.locator(".spec")).to_contain_text(FOLDER)
    with page.expect_download() as download:
        page.locator(".files").get_by_role("link", name=FILE).click()
    download.value.save_as(tmp_path / "saved")
    assert (tmp_path / "saved").read_text() == "content\n"
    assert injected(visitor) == []
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("Queued again.")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    assert injected(visitor) == []
    hostile.shell.wait()


def test_errors_show_what_was_asked_for_as_text(hostile: Dashboard, visit: Visit) -> None:
    """Pages that say what is wrong don't repeat it as markup."""
    visitor = visit(hostile)
    page = visitor.open("/job?id=" + quote(OUTPUT))
    expect(page.get_by_role("heading", level=1)).to_have_text("No such job")
    assert injected(visitor) == []
    page.goto("/" + quote(OUTPUT, safe=""))
    expect(page.get_by_role("heading", level=1)).to_have_text("No such page")
    assert injected(visitor) == []
    page.goto("/jobs?after=" + quote(OUTPUT))
    expect(page.get_by_role("heading", level=1)).to_have_text("That makes no sense")
    assert injected(visitor) == []
    visitor.forgive("404 (Not Found)", "400 (Bad Request)")
