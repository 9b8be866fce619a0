"""Who may see the dashboard, and who may change something by it."""

from __future__ import annotations

import http.client
import re

import pytest

from shoal.core.job import Status
from tests.web.conftest import Dashboard, Place, Visitor

PAGES = ("/", "/now", "/history", "/activity", "/jobs", "/job?id=a", "/job/state?id=a")
MORE_PAGES = ("/job/files?id=a", "/job/live?id=a", "/log?id=a", "/file?id=a&key=a", "/workers")
ACTIONS = ("/cancel", "/retry", "/pause", "/resume")


def test_nobody_sees_a_page_without_the_token(place: Place, dashboard: Dashboard) -> None:
    """Every page and action is locked, and the page that says so says how to get in."""
    place.submit("a")
    with dashboard.stranger() as http:
        for path in (*PAGES, *MORE_PAGES, "/workers/now", "/workers/timeline", "/nowhere"):
            answer = http.get(path)
            assert (path, answer.status_code) == (path, 403)
            assert "shoal ui" in answer.text
            assert place.root.name not in answer.text
        for path in ACTIONS:
            assert http.post(path, data={"id": "a"}).status_code == 403
    assert place.store.job("a").status is Status.QUEUED
    assert not place.store.is_paused()


def test_the_token_becomes_a_cookie_and_leaves_the_url(dashboard: Dashboard) -> None:
    """The cookie is of this port, for our own pages only, and out of reach of scripts."""
    with dashboard.stranger() as http:
        answer = http.get("/", params={"token": dashboard.token})
        assert answer.status_code == 303
        assert answer.headers["Location"] == "/"
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith(f"shoal-{dashboard.port}=")
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert dashboard.token not in cookie
        assert http.get("/").status_code == 200


@pytest.mark.parametrize(
    "token", ["", "x", "é", "\ud800".encode(errors="surrogatepass").decode("latin-1")]
)
def test_a_wrong_token_lets_nobody_in(dashboard: Dashboard, token: str) -> None:
    """Nor does the right one in the wrong place."""
    with dashboard.stranger() as http:
        assert http.get("/", params={"token": token}).status_code == 403
        assert http.get("/jobs", params={"token": dashboard.token}).status_code == 403
        cookies = {f"shoal-{dashboard.port}": dashboard.token}
        assert (
            http.get(
                "/", headers={"Cookie": f"{next(iter(cookies))}={dashboard.token}"}
            ).status_code
            == 403
        )


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1.nip.io"])
def test_another_name_for_this_machine_is_refused(
    visitor: Visitor, dashboard: Dashboard, host: str
) -> None:
    """So that no site can make its own name lead here."""
    for path in ("/", f"/?token={dashboard.token}", "/static/x"):
        answer = visitor.get(path, headers={"Host": host})
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers
    assert visitor.get("/", headers={"Host": f"localhost:{dashboard.port}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_changes_nothing(
    place: Place, visitor: Visitor, headers: dict[str, str]
) -> None:
    """Even if it knew the second secret."""
    place.submit("a")
    data = {"form_key": visitor.form_key(), "id": "a"}
    for path in ACTIONS:
        assert visitor.http.post(path, data=data, headers=headers).status_code == 403
    assert place.store.job("a").status is Status.QUEUED
    assert not place.store.is_paused()


@pytest.mark.parametrize("form_key", [None, "", "0" * 64, "é"])
def test_a_form_of_somebody_else_changes_nothing(
    place: Place, visitor: Visitor, form_key: str | None
) -> None:
    """Without the second secret, a request is none of ours."""
    place.submit("a")
    data = {"id": "a"} | ({} if form_key is None else {"form_key": form_key})
    for path in ACTIONS:
        answer = visitor.http.post(path, data=data)
        assert answer.status_code == 403
        assert "load the page again" in answer.text
    assert place.store.job("a").status is Status.QUEUED


def test_a_form_without_end_is_refused(visitor: Visitor) -> None:
    """And takes no memory."""
    answer = visitor.http.post("/pause", content=b"x" * 100_000)
    assert answer.status_code == 403
    assert "too large" in answer.text


def test_only_a_post_changes_something(place: Place, visitor: Visitor) -> None:
    """A link or an image never does."""
    for path in ACTIONS:
        assert visitor.get(path, params={"form_key": visitor.form_key()}).status_code == 405
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        assert visitor.http.request(method, "/").status_code == 405
    assert not place.store.is_paused()


def test_every_answer_has_the_headers_that_keep_it_safe(visitor: Visitor) -> None:
    """Nothing is run but our scripts, nothing framed, nothing kept but styles and scripts."""
    for path in ("/", "/jobs", "/nowhere", "/job?id=none", "/history"):
        headers = visitor.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"


def test_pages_need_nothing_from_outside_and_nothing_inline(visitor: Visitor) -> None:
    """Styles and scripts are our files, which may be kept for ever."""
    for path in ("/", "/jobs", "/workers"):
        text = visitor.page(path)
        assert not re.search(r"<style|<script(?![^>]* src=)|\son\w+=|\sstyle=", text)
        for found in re.findall(r'(?:src|href|action|hx-get)="([^"]*)"', text):
            assert found.startswith(("/", "#")), found
            assert not found.startswith("//")
    for found in re.findall(r'(?:src|href)="(/static/[^"#]*)', visitor.page("/")):
        answer = visitor.get(found)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
    missing = visitor.get("/static/none.css")
    assert (missing.status_code, missing.headers["Cache-Control"]) == (404, "no-store")


@pytest.mark.parametrize(
    "path", ["/static/../pages/job.py", "/static/%2e%2e/site.py", "//etc/passwd"]
)
def test_no_path_leads_out_of_the_static_files(dashboard: Dashboard, path: str) -> None:
    """Sent as they stand, which browsers would not do."""
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.port)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status in (403, 404)
    assert b"import" not in answer.read()
    connection.close()
