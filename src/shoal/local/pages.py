"""Pages of jobs from the SQLite file, each soon: a long search goes on with the next page.

There is no index for every question: each would cost all jobs something, on every change. So a
page looks through the jobs in the order asked for, window by window, until it is full or its time
is up; then it says where to go on.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from shoal.core.errors import SpecError
from shoal.core.job import Job, Status
from shoal.local.rows import ALL_COLUMNS, job_of
from shoal.ports import Order, Page, Query

LOOK_S = 0.04
"""For how long a page is looked for; the last window may take as long again."""

MAX_INTEGER = 2**62

FIRST_WINDOW = 4_000
"""Jobs looked at in one go, at first; more while that is quick."""

FEW = 1_000
"""Jobs that are sorted in a millisecond or two."""

MAX_PATTERN = 10_000
"""SQLite takes no glob of over 50,000 bytes."""

PLACE_DIGITS = 18
"""SQLite counts no further than nine times as far."""

_SET = re.compile(r"\[(?:([!^]?+)(\]?+[^\]]*+\]))?")
_FINAL = ", ".join(f"'{status}'" for status in Status if status.is_final)

Execute = Callable[[str, tuple[object, ...]], sqlite3.Cursor]


class _Way(NamedTuple):
    """How the jobs of an order are walked through.

    Args:
        source: the tables.
        first: the table that the key is in.
        key: what the order is by.
        forward: whether the key grows.
    """

    source: str
    first: str
    key: str
    forward: bool

    @property
    def column(self) -> str:
        """The key, where several tables have one of its name."""
        return f"{self.first}.{self.key}"

    @property
    def sign(self) -> str:
        """What compares a later key with an earlier one."""
        return ">" if self.forward else "<"

    @property
    def direction(self) -> str:
        """As SQL says it."""
        return "ASC" if self.forward else "DESC"

    @property
    def window(self) -> str:
        """The condition for what is behind one key, up to another and with it."""
        up_to = "<=" if self.forward else ">="
        return f"{self.column} {self.sign} ? AND {self.column} {up_to} ?"


_BY_END = (
    "settlement CROSS JOIN job ON job.seq = settlement.seq AND job.run = settlement.run"
    f" AND job.status IN ({_FINAL})"
)
_INDEXES = {
    Status.STARTED: "job_started",
    Status.FAILED: "job_unsuccessful",
    Status.CANCELLED: "job_unsuccessful",
}
"""Those that hold just the jobs of such a status, however many others there are."""

WAYS = {
    Order.NEWEST: _Way("job", "job", "seq", False),
    Order.OLDEST: _Way("job", "job", "seq", True),
    Order.NAME: _Way("job", "job", "job_id", True),
    Order.NAME_BACKWARDS: _Way("job", "job", "job_id", False),
    Order.ENDED: _Way(_BY_END, "settlement", "cursor", False),
}


def read_page(execute: Execute, query: Query, after: str | None, limit: int) -> Page:
    """A page of `ports.JobStore.page`.

    Args:
        execute: of the connection.
        query: what to look for.
        after: where the page before ended.
        limit: the most jobs.
    """
    way, window = WAYS[query.order], FIRST_WINDOW
    index = _INDEXES.get(query.statuses[0]) if len(query.statuses) == 1 else None
    if index is not None and way.source == "job" and way.key == "seq":
        way = way._replace(source=f"job INDEXED BY {index}")
        if query.pattern is None and query.batch is None:
            window = MAX_INTEGER  # all that it holds is wanted, so a full page ends the look
    elif way.key == "job_id" and not _are_few(execute, query):
        way = way._replace(source="job INDEXED BY sqlite_autoindex_job_1")
    conditions, values = filters(query.pattern, query.statuses, query.batch)
    place = _start(execute, way) if after is None else _place(way, after)
    give_up_at = time.monotonic() + LOOK_S
    jobs: list[Job] = []
    while (border := _border(execute, way, place, window)) is not None:
        began = time.monotonic()
        rows = execute(
            f"SELECT {way.column}, {ALL_COLUMNS} FROM {way.source}"
            f" WHERE {way.window}{conditions} ORDER BY {way.column} {way.direction} LIMIT ?",
            (place, border, *values, limit - len(jobs)),
        ).fetchall()
        jobs += [job_of(row[1:]) for row in rows]
        if len(jobs) >= limit:
            last = rows[-1][0] if rows else place
            return Page(jobs, str(last) if _border(execute, way, last, 1) is not None else None)
        place = border
        now = time.monotonic()
        if now >= give_up_at:
            more = _border(execute, way, place, 1) is not None
            return Page(jobs, str(place) if more else None)
        if now - began < LOOK_S / 4:
            window = min(2 * window, MAX_INTEGER)
    return Page(jobs, None)


def _are_few(execute: Execute, query: Query) -> bool:
    """Whether an index finds so few jobs that they may all be sorted for each window."""
    if query.batch is None and (len(query.statuses) != 1 or query.statuses[0] not in _INDEXES):
        return False
    statuses = query.statuses if query.batch is None else ()
    conditions, values = filters(None, statuses, query.batch)
    some = f"SELECT 1 FROM job WHERE TRUE{conditions} LIMIT {FEW + 1}"
    return bool(execute(f"SELECT count(*) <= {FEW} FROM ({some})", values).fetchone()[0])


def filters(
    pattern: str | None, statuses: tuple[Status, ...], batch: str | None
) -> tuple[str, tuple[object, ...]]:
    """Conditions on jobs, each with its AND before it, and their values.

    Raises:
        SpecError: the pattern is too long.
    """
    conditions, values = "", list[object]()
    if pattern is not None:
        if len(pattern) > MAX_PATTERN:
            raise SpecError(f"the pattern has {len(pattern):,} characters", "use a shorter one")
        conditions += " AND job.job_id GLOB ?"
        values.append(_glob(pattern))
    if statuses:
        # Written out, as SQLite has to see that an index of some statuses is enough; it does not
        # see that one status is among two.
        wanted = [f"'{status.value}'" for status in statuses]
        is_wanted = f"= {wanted[0]}" if len(wanted) == 1 else f"IN ({', '.join(wanted)})"
        conditions += f" AND job.status {is_wanted}"
        if {*statuses} < {Status.FAILED, Status.CANCELLED}:
            conditions += " AND job.status IN ('Failed', 'Cancelled')"
    if batch is not None:
        conditions += " AND job.batch = ?"
        values.append(batch)
    return conditions, tuple(values)


def _start(execute: Execute, way: _Way) -> Any:
    """A key before the first."""
    if way.forward:
        return "" if way.key == "job_id" else 0
    beyond = "|| 'x'" if way.key == "job_id" else "+ 1"
    return execute(f"SELECT max({way.key}) {beyond} FROM {way.first}", ()).fetchone()[0]


def _place(way: _Way, after: str) -> Any:
    if way.key == "job_id":
        return after
    if after.isascii() and after.isdigit() and len(after) <= PLACE_DIGITS:
        return int(after)
    raise SpecError(f"{after!a} is no place in this list", "begin with its first page")


def _border(execute: Execute, way: _Way, place: Any, window: int) -> Any:
    """The last key of the next window; None: there is nothing more."""
    if place is None:
        return None
    if way.key == "job_id":
        names = (
            f"SELECT job_id FROM job WHERE job_id {way.sign} ? ORDER BY job_id {way.direction}"
            " LIMIT 1 OFFSET ?"
        )
        row = execute(names, (place, window - 1)).fetchone()
        if row is not None:
            return row[0]
        ends = "max" if way.forward else "min"
        return execute(
            f"SELECT {ends}(job_id) FROM job WHERE job_id {way.sign} ?", (place,)
        ).fetchone()[0]
    if way.forward:
        last = execute(f"SELECT max({way.key}) FROM {way.first}", ()).fetchone()[0]
        return None if last is None or place >= last else min(last, place + window)
    return None if place <= 1 else max(1, place - window)


def _glob(pattern: str) -> str:
    """A glob as shells write it, in SQLite's words: `[!...]` is `[^...]`, a lone `[` is itself."""
    return _SET.sub(
        lambda found: f"[{'^' if found[1] else ''}{found[2]}" if found[2] else "[[]", pattern
    )
