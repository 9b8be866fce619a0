"""The report page is one whole file, safe whatever comes from jobs, and says what was found."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from shoal.core.job import Status
from shoal.report.distribution import distribution
from shoal.report.figures import figures_of
from shoal.report.histogram import histogram_svg
from shoal.report.page import report_html, shown, usd
from shoal.report.spans import spans_of

from .jobs import T0, F, Made, Ran, made, schedules

NOW = T0 + 10_000
EVIL = "<script>alert(1)</script>\"'&{{ 7 * 7 }}\x1b[31m\ud800"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Outline(HTMLParser):
    """Reads a page: its elements, attributes and text, and whether each element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()
        self.said = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        self.text += text


def page_of(of: Made, title: str = "Title", **options: float | bool) -> str:
    """The report about jobs."""
    in_cloud, price = bool(options.get("in_cloud")), options.get("hourly_usd")
    figures = figures_of(of.jobs, of.attempts, NOW, in_cloud=in_cloud, hourly_usd=price)
    spans = spans_of(of.jobs, of.attempts, NOW)
    return report_html(figures, spans, title=title, environment="/srv/jobs")


def some_jobs() -> Made:
    """Twenty jobs, one of which is tried twice."""
    of = made()
    for place in range(19):
        of.add(f"job{place}", Ran(place, place + 1))
    of.add("again", Ran(19, 25, ending=F, reason="timed out after 6 s"), Ran(25, 40))
    return of


def test_it_says_what_was_found() -> None:
    """The headline, the key figures, the tail, the reasons, the workers and the timeline."""
    page = page_of(some_jobs())
    outline = Outline(page)
    assert outline.open == []
    for expected in (
        "20 jobs in 40 s on 1 worker: 20 Successful; 100 % of the workers' time was work.",
        "Half of the jobs were over after 10 s, and 90 % after 18 s.",
        "The longest job, again , took 21 s, 52 % of the makespan",
        "1 attempt of 1 job failed and took 6.0 s; 1 job of these is Successful all the same",
        "timed out after 6 s",
        "/srv/jobs",
        "w-00000001",
    ):
        assert expected in outline.said.replace("again,", "again ,")
    assert outline.elements.count("svg") > 4
    assert page.count('class="span') > 20


def test_it_needs_nothing_else_and_runs_nothing() -> None:
    """No script, nothing from outside, and the page itself forbids both."""
    page = page_of(some_jobs(), in_cloud=True, hourly_usd=0.1)
    outline = Outline(page)
    assert not {"script", "link", "img", "iframe", "form", "object"} & set(outline.elements)
    assert "default-src 'none'" in page
    named = [value for name, value in outline.attributes if name in ("src", "href", "action")]
    assert named == []
    assert "url(" not in page
    assert "@import" not in page
    assert re.findall(r"https?://[^\"' <]+", page.replace("http://www.w3.org/2000/svg", "")) == []


def test_what_comes_from_jobs_is_text() -> None:
    """Ids, reasons, workers and the title can be neither markup nor template nor control."""
    of = made()
    for place in range(12):
        of.add(EVIL + str(place), Ran(place, place + 1, EVIL, F, EVIL))
    page = page_of(of, title=EVIL)
    page.encode()
    outline = Outline(page)
    assert "script" not in outline.elements
    assert "<script>alert(1)</script>\"'&{{ 7 * 7 }}\ufffd[31m\ufffd" in outline.text
    assert "\x1b" not in page
    assert not any(name.startswith("on") for name, _ in outline.attributes)


def test_the_cost_is_there_where_something_is_paid() -> None:
    """On AWS service by service; elsewhere only when somebody says what an hour costs."""
    assert "Cost" not in Outline(page_of(some_jobs())).text
    local = Outline(page_of(some_jobs(), hourly_usd=36.0)).said
    assert "0.01 machine hours" in local
    assert "at $36.00 an hour $0.40" in local
    assert "Step Functions" not in local
    cloud = Outline(page_of(some_jobs(), in_cloud=True)).said
    assert "Step Functions" in cloud
    assert "it is no bill" in cloud


def test_sets_of_jobs_without_much_to_say() -> None:
    """Jobs that wait, that were cancelled at once, or one alone make a page, too."""
    waits, gone, one = made(), made(), made()
    waits.add("a")
    gone.add("a", status=Status.CANCELLED)
    one.add("a", Ran(0, 0))
    for of in (waits, gone, one):
        assert Outline(page_of(of)).open == []


@settings(max_examples=20)
@given(schedules)
def test_any_history_makes_a_page(of: Made) -> None:
    """Whole, and with a number for each job that ended."""
    assert Outline(page_of(of)).open == []


def test_long_texts_are_cut_and_small_amounts_written_out() -> None:
    assert len(shown("x" * 1_000)) == 160
    assert [usd(of) for of in (0, 1234.5, 0.1, 0.0123, 0.00012, 0.0000052)] == [
        *("$0.00", "$1,234.50", "$0.10", "$0.012", "$0.00012", "$0.0000052")
    ]


@pytest.mark.parametrize("number", [1, 20_000, 1_000_000])
def test_the_labels_of_a_histogram_are_whole(number: int) -> None:
    """However large the numbers beside it, and however long the times below."""
    found = distribution([1.0] * number + [195.0])
    assert found is not None
    svg = histogram_svg(found, noun="job", width=480)
    labels = re.findall(r'<text x="([\d.]+)"[^>]*text-anchor="(end|middle)">([^<]*)<', svg)
    for x, anchor, label in labels:
        wide = 6.4 * len(label)
        left = float(x) - (wide if anchor == "end" else wide / 2)
        assert (left >= 0, left + wide <= 480) == (True, True), label
    assert len(labels) > 4
