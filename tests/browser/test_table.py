"""The table of jobs, ten thousand of them: search, filters, order, pages."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from .conftest import NEEDLE, Dashboard
from .visitor import Visit


def ids(page: Page) -> Locator:
    """The ids in the table."""
    return page.locator("#rows .id")


def test_the_first_page_shows_the_newest_and_how_many_there_are(
    large: Dashboard, visit: Visit
) -> None:
    """The table begins with what was submitted last; the filters carry the counts of all."""
    page = visit(large).open("/jobs")
    expect(ids(page)).to_have_count(50)
    expect(ids(page).first).to_have_text("odd/two")
    status = page.get_by_role("navigation", name="Filter by status")
    expect(status.get_by_role("link", name="Queued")).to_have_text(re.compile(r"10.000"))
    expect(status.get_by_role("link", name="Cancelled")).to_have_text(re.compile(r"\b2$"))


def test_a_search_finds_the_one_in_ten_thousand(large: Dashboard, visit: Visit) -> None:
    """What is typed is found as it is typed, is in the URL, and the way back shows all again."""
    page = visit(large).open("/jobs")
    page.evaluate("window.isSamePage = true")
    page.get_by_role("searchbox", name="Search").press_sequentially("needle")
    expect(ids(page)).to_have_text([NEEDLE])
    expect(page).to_have_url(re.compile(r"/jobs\?.*q=needle"))
    assert page.evaluate("window.isSamePage")
    page.reload()
    expect(ids(page)).to_have_text([NEEDLE])
    expect(page.get_by_role("searchbox", name="Search")).to_have_value("needle")
    page.get_by_role("link", name=NEEDLE).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(NEEDLE)
    page.go_back()
    expect(ids(page)).to_have_text([NEEDLE])


def test_back_undoes_a_search(large: Dashboard, visit: Visit) -> None:
    """Each search is a step of the browser's history, with its text in the field."""
    page = visit(large).open("/jobs")
    field = page.get_by_role("searchbox", name="Search")
    field.fill("odd/*")
    expect(ids(page)).to_have_text(["odd/two", "odd/one"])
    field.fill("run/0123?")
    expect(ids(page)).to_have_count(10)
    page.go_back()
    expect(ids(page)).to_have_text(["odd/two", "odd/one"])
    expect(field).to_have_value("odd/*")
    page.go_back()
    expect(ids(page)).to_have_count(50)
    expect(field).to_have_value("")
    page.go_forward()
    expect(ids(page)).to_have_text(["odd/two", "odd/one"])


def test_a_search_for_nothing_says_so(large: Dashboard, visit: Visit) -> None:
    """Where no job is like what was typed, the page says so and how to search."""
    page = visit(large).open("/jobs")
    page.get_by_role("searchbox", name="Search").fill("no-such-thing")
    expect(page.get_by_role("heading", name="No job is like that")).to_be_visible()
    page.get_by_role("link", name="Show all jobs").click()
    expect(ids(page)).to_have_count(50)


def test_filters_by_status_and_batch_go_together(large: Dashboard, visit: Visit) -> None:
    """A status and a batch narrow the table each, and both; taking one away widens it again."""
    page = visit(large).open("/jobs")
    status = page.get_by_role("navigation", name="Filter by status")
    status.get_by_role("link", name="Cancelled").click()
    expect(ids(page)).to_have_text(["odd/two", "run/00007"])
    expect(page).to_have_url(re.compile("status=Cancelled"))
    page.get_by_role("searchbox", name="Batch").fill("few")
    expect(ids(page)).to_have_text(["odd/two"])
    status.get_by_role("link", name="All").click()
    expect(ids(page)).to_have_text(["odd/two", "odd/one"])
    expect(page).to_have_url(re.compile("batch=few"))


def test_the_batch_of_a_job_leads_to_its_others(large: Dashboard, visit: Visit) -> None:
    """A job's page names its batch, which is a link to the table of it."""
    page = visit(large).open("/job?id=odd/one")
    page.get_by_role("link", name="Batch few").click()
    expect(ids(page)).to_have_text(["odd/two", "odd/one"])


def test_the_order_is_chosen_by_column_and_by_field(large: Dashboard, visit: Visit) -> None:
    """A click on a column sorts by it, another the other way round; the field does the same."""
    page = visit(large).open("/jobs")
    column = page.get_by_role("columnheader", name="Job")
    column.get_by_role("link").click()
    expect(ids(page).first).to_have_text(NEEDLE)
    expect(column).to_have_attribute("aria-sort", "ascending")
    column.get_by_role("link").click()
    expect(ids(page).first).to_have_text("run/09999")
    expect(column).to_have_attribute("aria-sort", "descending")
    page.get_by_label("Sort").select_option("Oldest")
    expect(ids(page).first).to_have_text("run/00000")
    expect(page).to_have_url(re.compile("order=oldest"))


def test_pages_follow_each_other(large: Dashboard, visit: Visit) -> None:
    """Page two goes on where page one ends, is an address of its own, and leads back."""
    page = visit(large).open("/jobs?order=name&q=run/*")
    expect(ids(page)).to_have_text([f"run/{number:05}" for number in range(50)])
    page.get_by_role("link", name="Next page").click()
    second = [f"run/{number:05}" for number in range(50, 100)]
    expect(ids(page)).to_have_text(second)
    page.reload()
    expect(ids(page)).to_have_text(second)
    page.get_by_role("link", name="First page").click()
    expect(ids(page).first).to_have_text("run/00000")
    page.go_back()
    expect(ids(page)).to_have_text(second)
