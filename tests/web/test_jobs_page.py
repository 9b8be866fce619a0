"""The table of jobs: search, filters, order, pages."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.web.conftest import Place, Visitor

CELL = re.compile(r'<td class="id"><a href="([^"]*)"><bdi>(.*?)</bdi>')


def listed(page: str) -> list[str]:
    """The ids in a table, in order."""
    return [unescape(found) for _, found in CELL.findall(page)]


def next_page(page: str) -> str | None:
    """Where the next page is."""
    found = re.search(r'href="([^"]*)" rel="next"', page)
    return unescape(found[1]) if found else None


def test_an_empty_table_says_what_to_do(visitor: Visitor) -> None:
    """And so does the overview."""
    assert "shoal submit" in visitor.page("/jobs")
    assert "shoal submit" in visitor.page("/")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tt", ["b/tt/2", "a/tt/1"]),
        ("a/", ["a/ss/3", "a/tt/1"]),
        ("a/*", ["a/ss/3", "a/tt/1"]),
        ("?/tt/[12]", ["b/tt/2", "a/tt/1"]),
        ("[!a]*", ["odd[1]", "b/tt/2"]),
        ("odd[1]", ["odd[1]"]),
        ("  tt/1 ", ["a/tt/1"]),
        ("TT", []),
        ("%", []),
    ],
)
def test_a_search_takes_a_part_of_an_id_or_a_glob(
    place: Place, visitor: Visitor, text: str, found: list[str]
) -> None:
    """A job with just that id is found, though as a glob it would mean others."""
    place.submit("a/tt/1", "b/tt/2", "a/ss/3", "odd[1]")
    page = visitor.page("/jobs", q=text)
    assert listed(page) == found
    assert ("No job is like that" in page) == (not found)


def test_the_filters_add_up(place: Place, visitor: Visitor) -> None:
    """Status and batch and text; the tabs keep the others."""
    place.submit("a1", "a2", "b1", batch="one")
    place.submit("a3", batch="two <&>")
    place.end(place.start("a4", batch="one"), "broken", 3)
    assert listed(visitor.page("/jobs", status="Failed")) == ["a4"]
    assert listed(visitor.page("/jobs", batch="one", q="a")) == ["a4", "a2", "a1"]
    page = visitor.page("/jobs", batch="two <&>", q="a")
    assert listed(page) == ["a3"]
    assert 'href="/jobs?q=a&amp;status=Failed&amp;batch=two%20%3C%26%3E"' in page


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("newest", ["b", "c", "a"]),
        ("oldest", ["a", "c", "b"]),
        ("name", ["a", "b", "c"]),
        ("name-backwards", ["c", "b", "a"]),
        ("nonsense", ["b", "c", "a"]),
    ],
)
def test_the_table_is_sorted_as_asked(
    place: Place, visitor: Visitor, order: str, found: list[str]
) -> None:
    """The newest first when what is asked makes no sense."""
    place.submit("a", "c", "b")
    assert listed(visitor.page("/jobs", order=order)) == found


def test_what_ended_last_comes_first(place: Place, visitor: Visitor) -> None:
    """Jobs that are not over are left out."""
    first, second = place.start("first"), place.start("second")
    place.submit("not-over")
    place.end(second)
    place.end(first)
    assert listed(visitor.page("/jobs", order="ended")) == ["first", "second"]


def test_pages_go_through_all_jobs_once(place: Place, visitor: Visitor) -> None:
    """With the filters kept, and a way back to the first."""
    wanted = [f"w{number:03}" for number in range(120)]
    place.submit(*wanted)
    place.submit("other")
    seen: list[str] = []
    where: str | None = "/jobs?q=w&order=name"
    pages = 0
    while where is not None:
        page = visitor.page(where)
        assert ('rel="first"' in page) == (pages > 0)
        seen += listed(page)
        where = next_page(page)
        pages += 1
    assert seen == wanted
    assert pages == 3


def test_a_page_mark_that_makes_no_sense_is_explained(place: Place, visitor: Visitor) -> None:
    """As is one with bytes that are no text."""
    place.submit("a")
    for mark in ("x", "1;drop table job", "\udc80", "9" * 400):
        answer = visitor.get(f"/jobs?after={mark.encode(errors='surrogateescape').hex()}z")
        assert answer.status_code == 400
        assert "What helps" in answer.text
    assert visitor.get("/jobs?q=%80%ff&batch=%ff&status=%ff&found=%ff").status_code == 200
    assert visitor.get(f"/jobs?{'&'.join('abc' * 100)}").status_code == 200


def test_a_status_is_said_in_words(place: Place, visitor: Visitor) -> None:
    """Colour alone tells nothing to some."""
    place.submit("a")
    place.end(place.start("b"), "exit code 3", 3)
    page = visitor.page("/jobs")
    for word in ("Queued", "Failed", "exit code 3"):
        assert word in page


def test_a_long_search_goes_on_by_itself(place: Place, visitor: Visitor) -> None:
    """Where the first look ended; the parts of a page are no more rows than a page."""
    place.submit(*(f"w{number:03}" for number in range(60)))
    after = next_page(visitor.page("/jobs?q=w"))
    assert after is not None
    part = visitor.page(f"{after}&found=48")
    assert listed(part) == ["w009", "w008"]
    assert "That was the last page" not in visitor.page(f"{after}&found=0&status=Failed")
    assert "No job is like that" in visitor.page(f"{after}&found=0&status=Failed")
    assert visitor.get(f"{after}&found=-5").status_code == 200
    assert visitor.get("/jobs?found=" + "9" * 5000).status_code == 200
