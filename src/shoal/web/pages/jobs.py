"""The table of jobs: search, filters, order, and pages that each come soon."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from shoal.client import PATTERN_CHARACTERS, Client
from shoal.core.errors import JobNotFound
from shoal.core.job import Job, Status
from shoal.ports import Order, Query
from shoal.web.look import url
from shoal.web.site import number_in, query_of, site_of

ROWS = 50


class Search(NamedTuple):
    """What the URL of a table says.

    Args:
        text: that somebody looks for, as typed.
        status: the only one wanted; None takes all.
        batch: of the jobs; blank takes all.
        order: of the rows.
        after: where the page begins; None: at the start.
        found: rows of the same page that came before, when looking took long.
        goes_on: whether there was such a part before.
    """

    text: str
    status: Status | None
    batch: str
    order: Order
    after: str | None
    found: int
    goes_on: bool

    @property
    def query(self) -> Query:
        """For the store. A text without glob characters is looked for anywhere in an id."""
        text = self.text
        pattern = text if PATTERN_CHARACTERS & set(text) else f"*{text}*" if text else None
        statuses = (self.status,) if self.status else ()
        return Query(pattern, statuses, self.batch or None, self.order)

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves out any jobs."""
        return bool(self.text or self.status or self.batch)

    def url(self, **changes: object) -> str:
        """The table's URL with something else; a page that is left is begun anew."""
        now = {"q": self.text, "status": self.status, "batch": self.batch, "order": self.order}
        values: dict[str, object] = {**now, **changes}
        if values["order"] == Order.NEWEST:
            del values["order"]
        return url(
            "/jobs", **{name: None if value == "" else value for name, value in values.items()}
        )


def show(request: Request) -> Response:
    """The whole page; scripts take out of it what they need."""
    site = site_of(request)
    with site.clients.lend() as client:
        search = _search(query_of(request), client.orders)
        page = client.page(search.query, search.after, ROWS - search.found)
        jobs = page.jobs
        if search.after is None and (exact := _exact(client, search)) is not None:
            jobs = [exact, *(job for job in jobs if job.job_id != exact.job_id)]
        found = search.found + len(jobs)
        values: dict[str, object] = {
            "sample": site.sample(),
            "search": search,
            "jobs": jobs,
            "after": page.after,
            "found": found,
            "is_full": found >= ROWS,
            "orders": client.orders,
            "Order": Order,
        }
    return site.page(request, "jobs.html", values)


def _search(given: dict[str, str], orders: tuple[Order, ...]) -> Search:
    """Read a URL; what makes no sense in it is as good as not there."""
    status = given.get("status", "")
    order = given.get("order", "")
    return Search(
        text=given.get("q", "").strip(),
        status=Status(status) if status in set(Status) else None,
        batch=given.get("batch", "").strip(),
        order=Order(order) if order in set(orders) else Order.NEWEST,
        after=given.get("after") or None,
        found=min(number_in(given, "found") or 0, ROWS - 1),
        goes_on="found" in given,
    )


def _exact(client: Client, search: Search) -> Job | None:
    """The job with just this id, when as a glob it means others."""
    if not PATTERN_CHARACTERS & set(search.text):
        return None
    try:
        job = client.job(search.text)
    except JobNotFound:
        return None
    is_meant = search.status in (None, job.status) and search.batch in ("", job.spec.batch)
    return job if is_meant else None
