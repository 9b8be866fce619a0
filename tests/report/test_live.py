"""The sampler, on a real environment that works, breaks, heals, and is looked at by nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import shoal
from shoal.client import Client
from shoal.core.confirm import Outcome
from shoal.core.job import Status
from shoal.core.spec import JobSpec
from shoal.report.live import Sampler
from shoal.report.settled import last_cursor

PATIENCE_S = 30.0
QUICK_S = 0.02
GOOD, BAD = Outcome(True, "confirmed", 0), Outcome(False, "exit code 1", 1)


class Place:
    """A folder with jobs in it, and a worker that does as it is told.

    Args:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = shoal.connect(folder)
        self.opened = 0

    def open(self) -> Client:
        """Another client of it."""
        self.opened += 1
        return shoal.connect(self.folder, create=False)

    def submit(self, number: int) -> None:
        """Submit so many jobs."""
        made = f"{time.monotonic_ns()}"
        ids = [f"{made}-{place}" for place in range(number)]
        self.client.submit_many([JobSpec(job_id, commands=("true",)) for job_id in ids])

    def settle(self, *outcomes: Outcome) -> None:
        """Run a job to each of these ends."""
        store = self.client.environment.store
        for outcome in outcomes:
            job = store.claim("w1", time.time(), 60.0)
            assert job is not None
            store.settle(job, outcome, time.time(), 0.0, None)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "jobs")


def until(sampler: Sampler, condition: Callable[[], object]) -> None:
    """Wait, look by look, for what must come."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, (sampler.latest, sampler.error)
        sampler.fresh(1.0, after=time.time())


def test_a_look_sees_what_is_there(place: Place) -> None:
    """Counts, workers, whether it is paused or supervised, and what ended in the last minute."""
    place.submit(5)
    place.settle(GOOD, GOOD, BAD)
    place.client.pause()
    with Sampler(place.open, QUICK_S) as sampler:
        sample = sampler.fresh(PATIENCE_S)
        assert sample is not None
        assert [sample.counts[status] for status in Status] == [2, 0, 2, 1, 0]
        assert (sample.paused, sample.supervised, sample.workers) == (True, False, ())
        assert sample.minute == {Status.SUCCESSFUL: 2, Status.FAILED: 1, Status.CANCELLED: 0}
        assert sample.live == 2
        assert sample.eta_s is None  # who should do it?
        supervised = msgspec.structs.replace(sample, paused=False, supervised=True)
        assert supervised.eta_s == pytest.approx(2 / sample.a_minute * 60)


def test_what_ends_while_it_looks_is_counted_once(place: Place) -> None:
    """Runs before the first look come from the jobs, those after it from the settlements."""
    place.submit(40)
    place.settle(*[GOOD] * 7)
    with Sampler(place.open, QUICK_S) as sampler:
        assert sampler.fresh(PATIENCE_S) is not None
        for _ in range(10):
            place.settle(GOOD, BAD)
            sampler.fresh(PATIENCE_S, after=time.time())
        until(sampler, lambda: sampler.latest and sampler.latest.live == 13)
        sample = sampler.latest
        assert sample is not None
        assert sample.minute == {Status.SUCCESSFUL: 17, Status.FAILED: 10, Status.CANCELLED: 0}


def test_the_history_is_columns_of_equal_length(place: Place) -> None:
    """Before the first look only the pace is known; times grow; it is JSON as it stands."""
    place.submit(6)
    place.settle(GOOD, GOOD)
    with Sampler(place.open, QUICK_S) as sampler:
        for _ in range(5):
            sampler.fresh(PATIENCE_S, after=time.time())
        history = sampler.history()
        names = ["at", "queued", "started", "workers", "successful", "failed", "cancelled"]
        assert list(history) == names
        assert len({len(column) for column in history.values()}) == 1
        times = [at for at in history["at"] if at is not None]
        assert times == sorted(times)
        assert times[-1] - times[0] > 800
        assert history["queued"][0] is None
        assert history["queued"][-1] == 4
        assert (history["successful"][0], history["successful"][-1]) == (0, 2)
        msgspec.json.encode(history)
        few = sampler.history(10)
        assert len(few["at"]) <= 10
        assert few["successful"][-1] == 2


def test_an_empty_environment_has_a_history(place: Place) -> None:
    """Nothing has happened yet, and nothing is divided by it."""
    with Sampler(place.open, QUICK_S) as sampler:
        sample = sampler.fresh(PATIENCE_S)
        assert sample is not None
        assert (sample.a_minute, sample.eta_s) == (0, None)
        assert sampler.history()["queued"][-1] == 0


def test_errors_are_kept_and_overcome(place: Place) -> None:
    """While the environment can't be opened its error is there; afterwards it is gone."""
    hidden = place.folder.with_name("hidden")
    place.folder.rename(hidden)
    with Sampler(place.open, QUICK_S) as sampler:
        assert sampler.fresh(PATIENCE_S) is None
        assert "is not a Shoal environment yet" in str(sampler.error)
        hidden.rename(place.folder)
        until(sampler, lambda: sampler.latest)
        assert sampler.error is None


def test_another_environment_in_the_same_place_is_seen(place: Place) -> None:
    """A folder that was removed and made anew is another one: its jobs count, and no others."""
    place.submit(3)
    place.settle(GOOD, GOOD)
    with Sampler(place.open, QUICK_S, fresh_s=0.0) as sampler:
        sample = sampler.fresh(PATIENCE_S)
        assert sample is not None
        assert sum(sample.counts.values()) == 3
        place.client.close()
        place.folder.rename(place.folder.with_name("gone"))
        until(sampler, lambda: sampler.error)
        place.client = shoal.connect(place.folder)
        place.submit(1)
        place.settle(BAD)
        until(sampler, lambda: sampler.error is None)
        sample = sampler.fresh(PATIENCE_S, after=time.time())
        assert sample is not None
        assert sample.counts[Status.FAILED] == sum(sample.counts.values()) == 1
        assert sum(sample.minute.values()) == 1


def test_a_defect_does_not_end_it(place: Place) -> None:
    """An error nobody has foreseen is shown like any other, and the next look is taken."""
    broken = True

    def open_or_break() -> Client:
        if broken:
            raise ZeroDivisionError("nobody foresaw this")
        return place.open()

    with Sampler(open_or_break, QUICK_S) as sampler:
        sampler.fresh(PATIENCE_S)
        assert sampler.error == "ZeroDivisionError: nobody foresaw this"
        broken = False
        until(sampler, lambda: sampler.latest)


def test_it_looks_no_more_when_nobody_asks(place: Place) -> None:
    """After a while without a question there are no looks, and with the next question there are."""
    place.submit(1)
    with Sampler(place.open, QUICK_S, idle_after_s=0.2) as sampler:
        first = sampler.fresh(PATIENCE_S)
        assert first is not None
        give_up_at = time.monotonic() + PATIENCE_S
        while not sampler.is_resting:
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        rested_at = time.time()
        time.sleep(10 * QUICK_S)
        seen = sampler.latest  # which wakes it
        assert seen is not None
        assert seen.at < rested_at
        woken = sampler.fresh(PATIENCE_S, after=rested_at)
        assert woken is not None
        assert woken.at > rested_at


def test_many_threads_may_ask(place: Place) -> None:
    """Readers get whole histories while looks are taken."""
    place.submit(50)
    problems: list[object] = []
    with Sampler(place.open, 0.001) as sampler:
        sampler.fresh(PATIENCE_S)

        def ask() -> None:
            for _ in range(50):
                history = sampler.history()
                if len({len(column) for column in history.values()}) != 1:
                    problems.append(history)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        place.settle(*[GOOD] * 50)
        for thread in threads:
            thread.join()
    assert not problems


def test_closing_ends_the_thread(place: Place) -> None:
    """And whoever waits for a look is told at once."""
    sampler = Sampler(place.open, 60.0)
    sampler.start()
    sampler.fresh(PATIENCE_S)
    began = time.monotonic()
    threading.Timer(0.05, sampler.close).start()
    sampler.fresh(PATIENCE_S, after=time.time())
    assert time.monotonic() - began < PATIENCE_S / 2
    assert place.opened == 1


@pytest.mark.parametrize("number", [0, 1, 2, 3, 7, 8, 9, 31])
def test_the_last_cursor(place: Place, number: int) -> None:
    """It is found without reading all that came before."""
    place.submit(number)
    place.settle(*[GOOD] * number)
    settled = [line.cursor for line in place.client.settlements()]
    assert last_cursor(place.client) == (settled[-1] if settled else 0)
