"""The overview, the workers, and what pages say when the environment is empty or gone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import httpx
import pytest

from shoal.cli.door import Door
from shoal.client import Client, connect
from shoal.report.live import Sampler
from shoal.web.access import Keys
from shoal.web.address import TOKEN_VARIABLE, listen, new_token, url_of
from shoal.web.clients import Clients
from shoal.web.plain import PlainText
from shoal.web.site import Site
from tests.web.conftest import PATIENCE_S, Dashboard, Place, Visitor

WaitUntil = Callable[[Callable[[], bool]], None]
PAGES = ("/", "/now", "/activity", "/jobs", "/workers", "/workers/now", "/workers/timeline")


def test_every_page_of_an_empty_environment_is_there(visitor: Visitor) -> None:
    """And says what there is to do."""
    for path in PAGES:
        visitor.page(path)
    assert "Idle" in visitor.page("/")
    assert "No worker is alive" in visitor.page("/workers")
    assert visitor.get("/history").json().keys() >= {"at", "queued", "workers", "successful"}


def test_the_counts_lead_to_the_jobs(place: Place, visitor: Visitor, wait_until: WaitUntil) -> None:
    """They follow what happens."""
    place.submit(*(f"q{number}" for number in range(1234)))
    place.end(place.start("bad"), "exit code 9", 9)
    place.start("runs")
    wait_until(lambda: "1\u202f234" in visitor.page("/now"))
    page = visitor.page("/")
    assert 'href="/jobs?status=Queued"><b>1\u202f234</b>' in page
    assert "exit code 9" in page
    assert "on w-test for" in page
    history = visitor.get("/history").json()
    assert history["queued"][-1] == 1234
    assert len({len(column) for column in history.values()}) == 1


def test_the_timeline_shows_who_ran_what(place: Place, visitor: Visitor) -> None:
    """Each attempt in the colour of its end, leading to its job."""
    place.end(place.start("good"))
    place.end(place.start("bad&<"), "no", 1)
    place.start("runs")
    for window in ("15m", "1h", "6h", "24h", "<nonsense>"):
        for width in ("", "900", "-1", "x", "99999999999999999999"):
            picture = visitor.page("/workers/timeline", window=window, width=width)
            for kind in ("successful", "failed", "running"):
                assert f'class="span {kind}"' in picture
            assert 'href="/job?id=bad%26%3C"' in picture
            assert "bad&<" not in picture
    assert 'aria-current="true">1 h<' in visitor.page("/workers", window="1h")


def test_an_environment_that_is_gone_is_explained(
    place: Place, visitor: Visitor, wait_until: WaitUntil
) -> None:
    """Soon, on every page; and when it is back, so are they."""
    place.submit("a")
    assert visitor.get("/").status_code == 200
    kept = place.root.with_name("kept")
    place.root.rename(kept)
    wait_until(lambda: visitor.get("/").status_code == 503)
    for path in (*PAGES, "/job?id=a", "/job/live?id=a", "/log?id=a"):
        page = visitor.page(path, 503)
        assert "not a Shoal environment" in page
        assert "What helps" in page
    kept.rename(place.root)
    wait_until(lambda: visitor.get("/job?id=a").status_code == 200)


def test_a_damaged_store_is_explained(
    place: Place, visitor: Visitor, wait_until: WaitUntil
) -> None:
    """With the store's own remedy."""
    place.opened.close()
    for path in place.opened.layout.own.glob("shoal.db*"):
        path.unlink()
    place.opened.layout.database.write_bytes(b"no database at all" * 100)
    wait_until(lambda: visitor.get("/jobs").status_code == 503)
    assert "What helps" in visitor.page("/jobs", 503)
    shutil.rmtree(place.root)


def test_who_comes_after_a_rest_gets_figures_of_now(place: Place, wait_until: WaitUntil) -> None:
    """However long a look takes: those that are there may be of yesterday."""

    def open_slowly() -> Client:
        time.sleep(0.2)
        return connect(place.root, create=False)

    sampler = Sampler(open_slowly, 0.02, idle_after_s=0.1, fresh_s=0.0)
    site = Site("x", Clients("x", open_slowly), sampler, Keys("t", 1), "", lambda: False)
    with sampler:
        assert site.sample().live == 0
        wait_until(lambda: sampler.is_resting)
        place.submit("a")
        time.sleep(0.1)  # several pauses between looks: what is known is old now
        assert site.sample().live == 1


def test_a_stream_does_not_hold_up_the_end(place: Place) -> None:
    """Somebody who follows an output is let go."""
    place.start("a")
    dashboard = Dashboard(str(place.root))
    with dashboard.stranger() as http:
        visitor = Visitor(http, dashboard)
        with visitor.http.stream("GET", "/job/live", params={"id": "a"}) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: start"
            began = time.monotonic()
            dashboard.close()
            try:
                list(lines)
            except httpx.RemoteProtocolError:
                pass  # it may be cut off
    assert time.monotonic() - began < 5


def test_it_serves_on_an_inherited_socket_until_its_parent_is_gone(place: Place) -> None:
    """As `shoal up` starts it; the URL that was printed there lets in."""
    words = [sys.executable, "-m", "shoal.cli.main", "ui", "-e", str(place.root), "--no-open"]
    with listen(0) as listening:
        fd, token = listening.fileno(), new_token()
        url = url_of(listening, token)
        with subprocess.Popen(
            [*words, "--with-parent", "--fd", str(fd)],
            stdin=subprocess.PIPE,
            pass_fds=[fd],
            env={**os.environ, TOKEN_VARIABLE: token},
        ) as process:
            assert process.stdin is not None
            with httpx.Client(follow_redirects=True, timeout=PATIENCE_S) as http:
                answer = http.get(url)
                assert answer.status_code == 200
                assert "token" not in str(answer.url)
            process.stdin.close()
            assert process.wait(PATIENCE_S) == 0


def test_a_dashboard_that_is_stuck_does_not_hold_up_its_supervisor(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed."""
    monkeypatch.setattr("shoal.cli.door.FAREWELL_S", 0.1)
    with Door(str(place.root), 0) as door:
        with httpx.Client(timeout=PATIENCE_S) as http:
            assert http.get(door.url).status_code == 303
        assert door._child is not None
        os.kill(door._child.pid, signal.SIGSTOP)
    assert door._child.returncode == -signal.SIGKILL


def test_a_port_that_is_taken_is_explained(place: Place, dashboard: Dashboard) -> None:
    """With what to do instead."""
    words = ["ui", "-e", str(place.root), "--no-open", "--port", str(dashboard.port)]
    said = subprocess.run(
        [sys.executable, "-m", "shoal.cli.main", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 2
    assert f"port {dashboard.port} can't be used" in said.stderr
    assert "--port" in said.stderr


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_plain_text_does_not_depend_on_the_pieces(size: int) -> None:
    """A character or a sequence may be cut anywhere."""
    output = "a\x1b[1mü\x1b]0;t\x1b\\b\r\nc\rd\x1b(Be\u202e\n".encode()
    whole = PlainText().feed(output, is_last=True)
    plain = PlainText()
    pieces = [output[at : at + size] for at in range(0, len(output), size)]
    text = "".join(plain.feed(piece) for piece in pieces) + plain.feed(b"", is_last=True)
    assert text == whole == "aüb\nc\nde�\n"
