"""The Gantt chart is XML that holds what it is given, whatever that is, and stays small."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core.job import Ending
from shoal.report.gantt import MAX_LANES, RUNNING, gantt_svg
from shoal.report.spans import Span, spans_of
from shoal.report.svg import time_ticks

from .jobs import T0, Made, Ran, made, schedules

A, B = "w-0000000a", "w-0000000b"
SVG = "{http://www.w3.org/2000/svg}"
EVIL = "<script>alert(1)</script>\"'&\x1b\x00\ud800"


def span(since: float, until: float | None, worker: str = A, **other: Any) -> Span:
    """A span, Successful when it has ended."""
    ending = None if until is None else Ending.SUCCESSFUL
    ended_at = None if until is None else T0 + until
    plain = Span("job", worker, 1, 1, T0 + since, ended_at, ending, "why")
    return plain._replace(**other)


def bars(svg: str) -> list[Element]:
    """The bars, those of the legend aside."""
    return [of for of in fromstring(svg).iter(f"{SVG}rect") if of.find(f"{SVG}title") is not None]


def test_bars_are_where_the_time_was() -> None:
    """On a lane a worker, in proportion; what runs reaches to the right end."""
    svg = gantt_svg([span(0, 50), span(50, 100, B), span(75, None)], T0, T0 + 100)
    first, last, other = bars(svg)
    left, wide = (float(first.attrib[name]) for name in ("x", "width"))
    assert float(other.attrib["x"]) == pytest.approx(left + wide, abs=0.2)
    assert float(other.attrib["width"]) == pytest.approx(wide, abs=0.2)
    assert float(last.attrib["width"]) == pytest.approx(wide / 2, abs=0.2)
    assert float(last.attrib["x"]) == pytest.approx(left + 1.5 * wide, abs=0.2)
    assert first.attrib["y"] == last.attrib["y"] != other.attrib["y"]
    assert [of.attrib["class"] for of in (first, last)] == ["span successful", "span running"]


def test_every_ending_has_its_class_and_the_interrupted_a_mark() -> None:
    """So that colours tell them apart, and a cross where they don't."""
    spans = [span(10 * at, 10 * at + 8, ending=ending) for at, ending in enumerate(Ending)]
    svg = gantt_svg(spans, T0, T0 + 100)
    assert [of.attrib["class"] for of in bars(svg)] == [f"span {ending}" for ending in Ending]
    without = gantt_svg([of for of in spans if of.ending is not Ending.INTERRUPTED], T0, T0 + 100)
    assert svg.count('class="mark"') == 2  # one of them is the legend's
    assert 'class="mark"' not in without


def test_what_comes_from_jobs_is_text() -> None:
    """No name or reason can be markup, or break the XML."""
    evil = span(0, 10, EVIL, job_id=EVIL, reason=EVIL, ending=Ending.FAILED)
    svg = gantt_svg([evil], T0, T0 + 10, job_url=lambda job_id: f"/job?id={job_id}")
    svg.encode()
    root = fromstring(svg)
    assert not list(root.iter(f"{SVG}script"))
    shown = "<script>alert(1)</script>\"'&\ufffd\ufffd\ufffd"
    assert any(shown in (of.text or "") for of in root.iter(f"{SVG}title"))
    link = next(root.iter(f"{SVG}a"))
    assert link.attrib["href"] == f"/job?id={shown}"
    assert "style=" not in svg


def test_bars_are_links_where_there_are_pages() -> None:
    """Each leads to its job; with very many of them the Tab key passes them by."""
    few = fromstring(gantt_svg([span(0, 5)], T0, T0 + 10, job_url="/job/{}".format))
    (link,) = few.iter(f"{SVG}a")
    assert (link.attrib["href"], "tabindex" in link.attrib) == ("/job/job", False)
    many = [span(at, at + 0.5) for at in range(300)]
    links = list(fromstring(gantt_svg(many, T0, T0 + 300, job_url=str)).iter(f"{SVG}a"))
    assert len(links) == 300
    assert {of.attrib["tabindex"] for of in links} == {"-1"}
    assert "<a " not in gantt_svg([span(0, 5)], T0, T0 + 10)


def test_no_bar_is_too_thin_to_be_seen() -> None:
    """Not even that of an attempt that took no time, at the very end."""
    found = bars(gantt_svg([span(0, 0), span(1e5, 1e5)], T0, T0 + 1e5))
    assert [float(of.attrib["width"]) for of in found] == [1.0, 1.0]
    assert float(found[-1].attrib["x"]) + 1 <= 1000


def test_only_what_was_in_the_time_is_drawn() -> None:
    """What began before or ends after is cut; what lies outside is not there."""
    spans = [span(-50, -20), span(-20, 20), span(90, 150), span(120, 150), span(200, None)]
    found = bars(gantt_svg(spans, T0, T0 + 100))
    assert len(found) == 2
    assert float(found[1].attrib["x"]) + float(found[1].attrib["width"]) <= 1000
    assert "nothing ran" in gantt_svg([], T0, T0 + 100)
    fromstring(gantt_svg([span(0, None)], T0, T0))


def test_many_workers_have_thin_lanes_and_the_rest_is_counted() -> None:
    """Hundreds of workers fit; how many are left out is said."""
    spans = [span(at / 10, at / 10 + 40, f"i-{at:017x}") for at in range(500)]
    svg = gantt_svg(spans, T0, T0 + 100)
    assert len({of.attrib["y"] for of in bars(svg)}) == MAX_LANES
    assert f"and {500 - MAX_LANES:,} more workers" in svg
    assert float(fromstring(svg).attrib["height"]) < 2_000


def many_spans(jobs: int, workers: int) -> Iterator[Span]:
    for at in range(jobs):
        since = at // workers * 1.1
        yield Span(
            f"a/rather/long/folder/with/job-{at}/run.sh",
            f"w-{at % workers:08x}",
            1,
            1,
            T0 + since,
            T0 + since + 1,
            Ending.FAILED if at % 50 == 0 else Ending.SUCCESSFUL,
            "exit code 1, last output: " + "x" * 150,
        )


@pytest.mark.parametrize("workers", [1, 16, 400])
def test_a_hundred_thousand_spans_stay_below_a_megabyte(workers: int) -> None:
    """Short ones are brought together; that some failed is still seen, and all are counted."""
    spans = list(many_spans(100_000, workers))
    began = time.process_time()
    svg = gantt_svg(spans, T0, spans[-1].ended_at or T0, job_url="/job?id={}".format)
    assert time.process_time() - began < 10
    assert len(svg.encode()) < 1_000_000
    root = fromstring(svg)
    assert any(of.attrib.get("class") == "span failed" for of in root.iter(f"{SVG}path"))
    assert re.search(r"attempts too short to be drawn one by one: [\d,]+ Failed", svg)


def test_long_texts_do_not_break_the_bound() -> None:
    """Even where each bar's tooltip and link are long."""
    spans = [
        span(at, at + 1, job_id=f"{at}{'y' * 900}", ending=Ending.FAILED, reason="z" * 9_000)
        for at in range(2_900)
    ]
    svg = gantt_svg(spans, T0, T0 + 2_900, job_url="/job?id={}".format)
    assert len(svg.encode()) < 1_000_000
    fromstring(svg)


def test_gaps_are_seen_among_very_many() -> None:
    """Where nothing ran for a while no pixel is drawn, however many spans there are."""
    spans = [*many_spans(20_000, 1)]
    spans += [of._replace(started_at=of.started_at + 44_000) for of in spans]
    spans = [of._replace(ended_at=of.started_at + 1) for of in spans]
    svg = gantt_svg(spans, T0, T0 + 66_000)
    paths = [of for of in fromstring(svg).iter(f"{SVG}path") if "span" in of.attrib["class"]]
    full = paths[0].attrib["d"]
    pieces = [(int(x), int(wide)) for x, wide in re.findall(r"M(\d+) [\d.]+h(\d+)", full)]
    (first, wide), (second, _) = pieces
    assert second - (first + wide) == pytest.approx(wide, abs=3)


@given(schedules)
def test_any_history_can_be_drawn(of: Made) -> None:
    """Each span is one bar, as long as they are few."""
    spans = spans_of(of.jobs, of.attempts, T0 * 2)
    until = max((one.ended_at or T0 for one in spans), default=T0 + 1)
    assert len(bars(gantt_svg(spans, T0, until))) == len(spans)


def test_spans_of_jobs() -> None:
    """Attempts that ended, and those that run; none begins after now, whatever a clock says."""
    of = made()
    of.add("a", Ran(5, 9, A, Ending.INTERRUPTED), runs_since=20)
    of.add("b", Ran(2, 3, B))
    of.add("c")
    found = spans_of(of.jobs, of.attempts, T0 + 15)
    assert [(one.job_id, one.started_at - T0, one.ending) for one in found] == [
        ("b", 2, Ending.SUCCESSFUL),
        ("a", 5, Ending.INTERRUPTED),
        ("a", 15, None),
    ]
    assert (found[2].run, found[2].attempt, found[2].ended_at) == (1, 2, None)
    assert RUNNING in gantt_svg(found, T0, T0 + 20)


@given(st.floats(0.001, 4e8), st.floats(0, 1e9))
def test_ticks_are_few_round_and_inside(length: float, since: float) -> None:
    """Any stretch of time gets labels there is room for, in order."""
    ticks = time_ticks(since, since + length, 8)
    assert len(ticks) <= 9
    places = [at for at, _ in ticks]
    assert places == sorted(set(places))
    assert all(since - 1e-2 <= at <= since + length + 1e-2 for at in places)


def test_ticks_name_the_day_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are local; the first after midnight has its date."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        at = datetime(2026, 3, 31, 22, tzinfo=UTC).timestamp()
        labels = [tick.label for tick in time_ticks(at, at + 4 * 3600, 4)]
        assert labels == ["22:00", "23:00", "1 Apr 00:00", "01:00", "02:00"]
        labels = [tick.label for tick in time_ticks(at, at + 3 * 86_400, 4)]
        assert labels[0] == "1 Apr"
    finally:
        monkeypatch.undo()
        time.tzset()
