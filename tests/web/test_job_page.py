"""The page of a job, its output, its files, and what its buttons do."""

from __future__ import annotations

import gc
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import shoal
from shoal.core.job import Job, Status
from shoal.web.follow import Follower
from tests.web.conftest import Place, Visitor

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "a b/c?d=e&f#g%41+h;i",
    "日本語/ünï\u202egnp",
    "../../etc/passwd",
    "]]>--></textarea>",
    "é" * 512,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_from_a_job_is_ever_markup(place: Place, visitor: Visitor, text: str) -> None:
    """Its id, commands, reason, tags and batch stand on all pages as they are, and links work."""
    job = place.start(text, commands=[text], batch=text, tags={text: text}, environment={"A": text})
    place.end(job, text, 1)
    seen = text.replace("\u202e", "�")
    for path in ("/", "/jobs", "/workers", "/workers/timeline", "/activity"):
        page = visitor.page(path)
        for link in set(re.findall(r'href="(/job\?[^"]*)"', page)):
            assert seen in unescape(visitor.page(unescape(link)))
    page = visitor.job(text)
    assert unescape(page).count(seen) >= 6
    for parts in (page, visitor.page("/workers/timeline"), visitor.page("/jobs", q=text)):
        assert "<script>alert" not in parts
        assert "<img" not in parts
        assert "</textarea" not in parts


def test_attempts_are_listed_with_their_ends(place: Place, visitor: Visitor) -> None:
    """The last first, each with a link to its output."""
    job = place.start("a", retry=2)
    place.end(job, "exit code 7", 7)
    second = place.store.claim("w-other", job.submitted_at + 1e6, 60.0)
    assert second is not None
    page = visitor.job("a")
    assert page.index(">1.2</a>") < page.index(">1.1</a>")
    for said in ("exit code 7", "w-other", "w-test", "1 of 2", "runs"):
        assert said in page


def test_a_page_asks_no_more_when_its_job_is_over(place: Place, visitor: Visitor) -> None:
    """And looks for its files then."""
    job = place.start("a")
    assert 'hx-get="/job/state?id=a"' in visitor.job("a")
    assert visitor.get("/job/state?id=a").status_code == 200
    place.end(job)
    assert 'hx-get="/job/state?id=a"' not in visitor.job("a")
    answer = visitor.get("/job/state?id=a")
    assert (answer.status_code, answer.headers["HX-Trigger"]) == (286, "job-ended")


def test_an_unknown_job_is_explained(visitor: Visitor) -> None:
    """So is an attempt that never was."""
    for path in ("/job", "/job/state", "/job/files", "/job/live", "/log", "/file"):
        page = visitor.page(path, 404, id="<none>")
        assert "there is no job" in page
        assert "&lt;none&gt;" in page


@pytest.mark.parametrize("token", ["9.9", "x", "1", "-1.1", "1.1.1", "².", "1" * 5000])
def test_an_unknown_attempt_is_explained(place: Place, visitor: Visitor, token: str) -> None:
    """Whatever stands in the URL."""
    place.end(place.start("a"))
    page = visitor.page("/job/live", 404, id="a", token=token)
    assert "attempt" in page


# --- the output ----------------------------------------------------------------------------------


def events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a stream."""
    kind = ""
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def read_all(visitor: Visitor, job_id: str, **more: str) -> tuple[str, list[str], bool]:
    """Text, kinds of events, and whether something was left out."""
    with visitor.http.stream("GET", "/job/live", params={"id": job_id, **more}) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        found = list(events(answer.iter_lines()))
    text = "".join(data.get("text", "") for _, data in found)
    return text, [kind for kind, _ in found], any(data["cut"] for _, data in found)


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        (b"plain\n", "plain\n"),
        (b"\x1b[1;31mred\x1b[0m\x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x1b(B\n", "redlink\n"),
        (b"10%\r20%\r\n30%", "10%\n20%\n30%"),
        (b"\xff\xfe\x00\x07\xe2\x80\xae", "�" * 5),
        ("ü日✓\t|\n".encode(), "ü日✓\t|\n"),
        (
            b"</pre><script>alert(1)</script>\n\nevent: end\ndata: {}\n\n",
            "</pre><script>alert(1)</script>\n\nevent: end\ndata: {}\n\n",
        ),
        (b"", ""),
    ],
)
def test_output_is_shown_as_plain_text(
    place: Place, visitor: Visitor, output: bytes, shown: str
) -> None:
    """What is meant for a terminal is left out, what can't be seen is marked."""
    job = place.start("a")
    place.say(job, output)
    place.end(job)
    assert read_all(visitor, "a") == (shown, ["start", "end"], False)


def test_output_is_followed_from_attempt_to_attempt(place: Place, visitor: Visitor) -> None:
    """Whatever bytes a look happens to end at, until the job is over."""
    job = place.start("a", retry=1)
    place.say(job, "one ü".encode()[:-1])
    with visitor.http.stream("GET", "/job/live", params={"id": "a"}) as answer:
        found = events(answer.iter_lines())
        assert next(found) == ("start", {"token": "1.1", "text": "one ", "cut": False})
        place.say(job, "ü\x1b[3".encode()[1:])
        assert next(found)[1]["text"] == "ü"
        place.say(job, b"1mtwo\n")
        assert next(found)[1]["text"] == "two\n"
        place.end(job, "no", 1)
        again = place.store.claim("w-test", job.submitted_at + 1e6, 60.0)
        assert again is not None
        place.say(again, b"second\n")
        place.end(again)
        rest = list(found)
    assert (rest[0][0], rest[0][1]["token"]) == ("start", "1.2")
    assert "".join(data["text"] for _, data in rest) == "second\n"
    assert rest[-1][0] == "end"


def test_only_the_end_of_a_long_output_is_shown(place: Place, visitor: Visitor) -> None:
    """From the start of a line on; all of it can be saved."""
    job = place.start("a")
    whole = b"".join(b"line %d\n" % number for number in range(100_000))
    place.say(job, whole)
    place.end(job)
    text, _, cut = read_all(visitor, "a")
    assert cut
    assert text.startswith("line ")
    assert whole.decode().endswith(text)
    assert 200_000 < len(text) <= 256 << 10
    answer = visitor.get("/log", params={"id": "a", "token": "1.1"})
    assert answer.content == whole
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="a.1.1.log"')


def test_a_flood_of_output_is_not_read_in_full(place: Place) -> None:
    """A program may print faster than anybody can read: only the end of it is looked at."""
    job = place.start("a")
    place.say(job, b"first\n")
    follower = Follower("a", None)
    with shoal.connect(place.root) as client:
        assert [of.text for of in follower.look(client)] == ["first\n"]
        os.truncate(place.opened.layout.log_path(job.job_id, job.token), 8 << 30)
        place.say(job, b"\nlast\n")
        began = time.monotonic()
        (news,) = follower.look(client)
    follower.close()
    assert time.monotonic() - began < 1
    assert (news.cut, news.text) == (True, "last\n")


@pytest.mark.parametrize("path", ["/log", "/file", "/job/live"])
def test_who_leaves_leaves_nothing_open(
    place: Place, visitor: Visitor, wait_until: Callable[[Callable[[], bool]], None], path: str
) -> None:
    """Without waiting for garbage to be collected: a broken off download is common."""
    job = with_folder(place, "j")
    key = place.result(job, "big", b"x")
    place.say(job, b"x")
    output = place.opened.layout.log_path(job.job_id, job.token)
    file = place.root / key if path == "/file" else output
    if path != "/job/live":
        os.truncate(file, 1 << 30)

    def is_open() -> bool:
        found = Path("/proc/self/fd").iterdir()
        return any(of.is_symlink() and os.readlink(of) == str(file) for of in found)

    gc.disable()
    try:
        with visitor.http.stream("GET", path, params={"id": "j", "key": key}) as answer:
            pieces = answer.iter_raw()
            assert next(pieces)
            assert is_open()
        wait_until(lambda: not is_open())
    finally:
        gc.enable()


def test_a_job_without_output_has_none(place: Place, visitor: Visitor) -> None:
    """Neither to follow nor to save."""
    place.end(place.start("a"))
    place.submit("b")
    assert read_all(visitor, "a")[0] == ""
    assert visitor.get("/log", params={"id": "a"}).content == b""
    assert visitor.get("/log", params={"id": "b"}).content == b""


# --- files ---------------------------------------------------------------------------------------

NAMES = ["plain.txt", "sub/ünï 日.csv", 'q"u;o%te\\s.txt', "-rf", "line\nbreak", "<b>.html"]


def with_folder(place: Place, job_id: str) -> Job:
    (place.root / job_id).mkdir()
    return place.start(job_id, commands=[], folder=job_id, executable="run.sh")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_saved_under_its_name(place: Place, visitor: Visitor, name: str) -> None:
    """Whatever it holds, the browser never shows it."""
    job = with_folder(place, "j")
    place.result(job, name, b"<script>alert(1)</script>")
    page = visitor.page("/job/files", id="j")
    assert "<b>" not in page
    found = re.findall(r'href="(/file\?[^"]*)"', page)
    assert len(found) == 1
    answer = visitor.get(unescape(found[0]))
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment; ")
    said = unquote(disposition.partition("filename*=UTF-8''")[2])
    wanted = name.rpartition("/")[2].replace("\n", "�").replace("\\", "_")
    assert said == wanted


def test_a_name_that_is_no_text_can_be_saved(place: Place, visitor: Visitor) -> None:
    """Names of files are bytes."""
    job = with_folder(place, "j")
    place.result(job, os.fsdecode(b"caf\xe9.txt"), b"x")
    page = visitor.page("/job/files", id="j")
    assert "caf�.txt" in page
    found = re.findall(r'href="(/file\?[^"]*)"', page)
    assert visitor.get(unescape(found[0])).content == b"x"


@pytest.mark.parametrize(
    "key",
    ["", "j", "j/", "j/run.sh", "j/../secret", "../secret", "/etc/passwd", "other/o.txt", "secret"],
)
def test_only_results_of_the_job_are_given_away(place: Place, visitor: Visitor, key: str) -> None:
    """Not its inputs, nor what is beside them, nor another job's."""
    (place.root / "secret").write_text("secret")
    place.result(with_folder(place, "other"), "o.txt", b"other's")
    job = with_folder(place, "j")
    (place.root / "j" / "run.sh").write_text("input")
    place.result(job, "r.txt", b"mine")
    answer = visitor.get("/file", params={"id": "j", "key": key})
    assert answer.status_code == 404
    assert "no result" in answer.text


@pytest.mark.parametrize("kind", ["link", "link above", "folder", "pipe", "gone"])
def test_a_result_that_is_something_else_now_is_not_read(
    place: Place, visitor: Visitor, tmp_path: Path, kind: str
) -> None:
    """A link in its place could lead anywhere; a pipe would never end."""
    (tmp_path / "r.txt").write_text("secret")
    job = with_folder(place, "j")
    key = place.result(job, "sub/r.txt", b"mine")
    path = place.root / key
    path.unlink()
    if kind == "link":
        path.symlink_to(tmp_path / "r.txt")
    elif kind == "link above":
        path.parent.rmdir()
        path.parent.symlink_to(tmp_path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    answer = visitor.get("/file", params={"id": "j", "key": key})
    assert answer.status_code == 404
    assert "secret" not in answer.text


# --- buttons -------------------------------------------------------------------------------------


@pytest.mark.parametrize("job_id", ["plain", "a[1]*", *HOSTILE[:5]])
def test_a_job_is_cancelled_and_retried_by_its_id(
    place: Place, visitor: Visitor, job_id: str
) -> None:
    """Just that job, though its id may look like a glob."""
    place.submit(job_id, "a1", "a1x", "b")
    page = visitor.press("/cancel", id=job_id)
    assert page.status_code == 200
    assert "Cancelled." in page.text
    assert place.store.job(job_id).status is Status.CANCELLED
    assert "Cancelled." not in visitor.job(job_id)  # it is said once
    visitor.press("/retry", id=job_id)
    assert place.store.job(job_id).status is Status.QUEUED
    for other in ("a1", "a1x", "b"):
        assert place.store.job(other).run == 1
        assert place.store.job(other).status is Status.QUEUED


def test_a_button_that_comes_too_late_says_why(place: Place, visitor: Visitor) -> None:
    """In the words of the store, and changes nothing."""
    place.end(place.start("a"))
    page = visitor.press("/cancel", id="a")
    assert 'role="alert"' in page.text
    assert "Successful" in page.text
    assert place.store.job("a").status is Status.SUCCESSFUL
    data = {"form_key": visitor.form_key(), "id": "none"}
    assert visitor.http.post("/cancel", data=data).status_code == 404


@pytest.mark.parametrize(
    ("back", "leads"),
    [("/workers", "/workers"), ("//evil.example", "/"), ("http://x", "/"), ("", "/")],
)
def test_a_pause_lets_nothing_start_until_it_ends(
    place: Place,
    visitor: Visitor,
    back: str,
    leads: str,
) -> None:
    """Afterwards one is on the same page, which is one of ours."""
    page = visitor.press("/pause", back=back)
    assert page.url.path == leads
    assert "Paused" in page.text
    assert place.store.is_paused()
    assert 'action="/resume"' in visitor.page("/now")
    visitor.press("/resume", back=back)
    assert not place.store.is_paused()
    assert 'action="/pause"' in visitor.page("/")
