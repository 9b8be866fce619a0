"""Lives through a scenario on a real store, and dies beside its first commit; then its second...

    python commit_child.py FOLDER (before | after)

Life n is a process of its own, which works on FOLDER/n.db. It kills itself just before, or after,
its n-th commit, and until then writes to FOLDER/n.said: a line of JSON for each call that has
returned, telling what must be in the store from then on. The last one has fewer commits than that
and lives on.

Life 0 lives on, too, and says what the store holds after each commit.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from shoal.core.confirm import Outcome
from shoal.core.job import Job
from shoal.core.spec import JobSpec
from shoal.local import store as store_module
from shoal.local.bells import Bells
from shoal.local.store import SqliteStore
from shoal.ports import Submission

LEASE_S = 60.0
LIMIT = 100
CONFIRMED, FAILED = Outcome(True, "confirmed", 0), Outcome(False, "exit code 1", 1)
TABLES = ("job", "attempt", "settlement", "result", "flag", "stopped")


Say = Callable[[object], None]


class MortalStore(SqliteStore):
    """A store that ends its process at the n-th commit."""

    def __init__(self, path: Path, side: str, fatal: int, say: Say) -> None:
        self._side = side
        self._fatal = fatal
        self._say = say
        self._commits = 0
        super().__init__(path, Bells(path.parent / "bells"), synced=False)

    def _commit(self) -> None:
        self._commits += 1
        if self._side == "before" and self._commits == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._commit()
        if self._side == "after" and self._commits == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._fatal == 0:
            self._say({"holds": {table: self.query(f"SELECT * FROM {table}") for table in TABLES}})


def submission(
    name: str, *, delivery: str = "first", retry: int = 0, priority: int = 0
) -> Submission:
    """A job in a folder; the same delivery of it is the same submission."""
    commands = (f"echo {name} {delivery}",)
    spec = JobSpec(name, retry, commands=commands, folder="folder", priority=priority)
    return Submission(spec, f"{name}-{delivery}")


HUNT = [f"hunt-{number}" for number in range(5)]
"""Jobs of which the first that is successful ends the search."""

CHUNK, CHANGES = 10, 2
LEAST = [f"least-{number}" for number in range(CHUNK)]
FIRST = [
    *(submission("a"), submission("b", retry=1), submission("c"), submission("d")),
    *(submission(name, priority=-1) for name in LEAST),
]
"""The first call of the scenario; in chunks of 10 it is of two commits."""


def live_through(store: SqliteStore) -> Iterator[list[object]]:
    """Call all that changes a store; after each call, yield what it has promised to keep.

    A promise is `["job", id, run]` (that run was accepted), `["attempt", id, run, attempt, ending]`
    (it was recorded), `["settled", id, run, status]`, `["result", key]` or `["refused", key]`.
    """

    def claim(now: float) -> Job:
        job = store.claim("w-1", now, LEASE_S)
        assert job is not None
        return job

    store.submit(FIRST, 1.0)
    yield [["job", name, 1] for name in ["a", "b", "c", "d", *LEAST]]
    store.submit([submission("a"), submission("e")], 2.0)
    yield [["job", "a", 1], ["job", "e", 1]]
    a = claim(3.0)
    a = store.renew(a, 10.0, LEASE_S)
    yield []
    store.record_results(a, {"folder/a.sh": "1-1", "folder/a.txt": "1-2"})
    yield [["result", "folder/a.sh"], ["result", "folder/a.txt"]]
    b = store.settle(a, CONFIRMED, 11.0, 0.0, LEASE_S)
    assert b is not None
    yield [["settled", "a", 1, "Successful"], ["attempt", "a", 1, 1, "successful"]]
    store.settle(b, FAILED, 12.0, 5.0, None)
    yield [["attempt", "b", 1, 1, "failed"]]
    c = claim(13.0)
    store.interrupt(c, "no room left", 14.0, LIMIT, 0.0)
    yield [["attempt", "c", 1, 1, "interrupted"]]
    c = claim(15.0)
    store.settle(c, FAILED, 16.0, 0.0, None)
    yield [["settled", "c", 1, "Failed"], ["attempt", "c", 1, 2, "failed"]]
    store.retry("c", 17.0)
    yield [["job", "c", 2]]
    store.pause()
    assert store.claim("w-1", 17.5, LEASE_S) is None
    store.cancel("d", 18.0)
    yield [["settled", "d", 1, "Cancelled"]]
    store.resume()
    lost = claim(20.0)
    assert lost.job_id == "b"
    store.cancel(claim(21.0).job_id, 22.0)
    yield [["settled", "c", 2, "Cancelled"], ["attempt", "c", 2, 1, "cancelled"]]
    reaped = store.reap(lambda worker: worker == "w-1", 23.0, LIMIT)
    assert [job.job_id for job in reaped] == ["b"]
    yield [["attempt", "b", 1, 2, "interrupted"]]
    claim(24.0)
    store.submit([submission("b", delivery="second"), submission("a", delivery="second")], 25.0)
    yield [["settled", "b", 1, "Cancelled"], ["job", "b", 2], ["job", "a", 2]]
    store.refuse("top.sh", "2-1", "it lies at the top", 26.0)
    yield [["refused", "top.sh"], ["result", "top.sh"]]
    store.disarm("folder/by-hand.sh", "2-2")
    yield [["result", "folder/by-hand.sh"]]
    assert len(store.cancel_many(LEAST[:3], 27.0)) == 3
    yield [["settled", name, 1, "Cancelled"] for name in LEAST[:3]]
    assert len(store.retry_many(LEAST[:2], 28.0)) == 2
    yield [["job", name, 2] for name in LEAST[:2]]
    specs = [
        JobSpec(name, commands=("true",), priority=1, batch="hunt", stop_on_success=True)
        for name in HUNT
    ]
    store.submit([Submission(spec, spec.job_id) for spec in specs], 29.0)
    yield [["job", name, 1] for name in HUNT]
    claim(30.0)
    winner = claim(31.0)
    store.settle(winner, CONFIRMED, 32.0, 0.0, LEASE_S)
    yield [["settled", HUNT[1], 1, "Successful"], ["settled", HUNT[0], 1, "Cancelled"]]


def live(folder: Path, side: str, fatal: int) -> None:
    with (folder / f"{fatal}.said").open("w") as said:

        def say(line: object) -> None:
            said.write(f"{json.dumps(line)}\n")
            said.flush()

        store = MortalStore(folder / f"{fatal}.db", side, fatal, say)
        for promises in live_through(store):
            say({"promised": promises})
        store.close()


def main() -> None:
    folder, side = sys.argv[1:]
    # So that calls about many jobs are of several commits.
    store_module.CHUNK, store_module.CHANGES = CHUNK, CHANGES
    for fatal in itertools.count():
        child = os.fork()
        if child == 0:
            live(Path(folder), side, fatal)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != (-signal.SIGKILL if fatal else 0):
            sys.exit(code)


if __name__ == "__main__":
    main()
