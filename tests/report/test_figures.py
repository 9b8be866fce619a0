"""The figures of jobs whose history is known to the second, and what holds for any history."""

from __future__ import annotations

import math
import time

import msgspec
import pytest
from hypothesis import given

from shoal.core.job import Ending, Status
from shoal.report.figures import figures_of

from .jobs import CUT, T0, F, Made, Ran, made, schedules

NOW = T0 + 10_000
A, B = "w-0000000a", "w-0000000b"


def three_jobs() -> Made:
    """One at once Successful, one after a retry, one interrupted and then Failed, on two workers.

    A runs from 10 to 30 and from 30 to 60; B from 10 to 20, from 25 to 50 and from 80 to 110.
    """
    of = made()
    of.add("first", Ran(10, 30, A))
    of.add("second", Ran(10, 20, B, F, "timed out after 10 s"), Ran(30, 60, A), submitted=5)
    of.add("third", Ran(25, 50, B, CUT), Ran(80, 110, B, F))
    return of


def test_the_figures_of_three_jobs() -> None:
    """Each number is what one finds by hand."""
    of = three_jobs()
    found = figures_of(of.jobs, of.attempts, NOW)
    assert found.jobs == 3
    assert {status: found.counts[status] for status in found.counts if found.counts[status]} == {
        Status.SUCCESSFUL: 2,
        Status.FAILED: 1,
    }
    assert (found.began_at, found.ended_at, found.makespan_s) == (T0, T0 + 110, 110)
    assert found.throughput_s == pytest.approx(3 / 110)
    assert (found.attempts, found.earlier_attempts, found.most_at_once) == (5, 0, 2)
    assert found.busy_s == 20 + 10 + 30 + 25 + 30
    assert found.useful_s == 20 + 30
    assert found.life_s == (60 - 10) + (110 - 10)
    assert found.utilisation == pytest.approx(115 / 150)
    assert found.tail is None


def test_waits_and_runs() -> None:
    """A job waits until its first start; runs are of what ended by itself."""
    of = three_jobs()
    found = figures_of(of.jobs, of.attempts, NOW)
    assert found.waits is not None
    assert found.runs is not None
    assert found.successful_runs is not None
    assert (found.waits.count, found.waits.total_s, found.waits.max_s) == (3, 10 + 5 + 25, 25)
    assert (found.runs.count, found.runs.min_s, found.runs.max_s) == (4, 10, 30)
    assert found.successful_runs.total_s == 50
    assert sum(found.runs.counts) == 4


def test_retries_interruptions_and_reasons() -> None:
    """A failed attempt and an interruption are counted apart, with the time they took."""
    of = three_jobs()
    found = figures_of(of.jobs, of.attempts, NOW)
    assert msgspec.structs.astuple(found.retries) == (2, 2, 1, 10 + 30)
    cut = found.interruptions
    assert (cut.attempts, cut.jobs, cut.workers, cut.lost_s) == (1, 1, 1, 25)
    assert cut.again_s is not None
    assert cut.again_s.max_s == 30
    assert {(of.ending, of.text, of.attempts, of.example) for of in found.reasons} == {
        (Ending.FAILED, "timed out after 10 s", 1, "second"),
        (Ending.FAILED, "exit code 1", 1, "third"),
        (Ending.INTERRUPTED, "worker w-00000001 is gone", 1, "third"),
    }


def test_what_the_workers_did() -> None:
    """A worker's life is from its first start to its last end; idle time in it counts."""
    of = three_jobs()
    found = figures_of(of.jobs, of.attempts, NOW)
    first, second = sorted(found.workers, key=lambda worker: worker.worker)
    assert (first.worker, first.attempts, first.busy_s, first.of_life) == (A, 2, 50, 1.0)
    assert (second.worker, second.attempts, second.busy_s) == (B, 3, 65)
    assert second.of_life == pytest.approx(65 / 100)
    assert second.of_makespan == pytest.approx(65 / 110)
    assert second.endings[Ending.INTERRUPTED] == 1


def test_the_headline() -> None:
    """It says in a sentence how many, how long, where, how they ended, and how busy it was."""
    of = three_jobs()
    assert figures_of(of.jobs, of.attempts, NOW).headline == (
        "3 jobs in 1 min 50 s on 2 workers: 2 Successful, 1 Failed;"
        " 77 % of the workers' time was work."
    )
    one = made()
    one.add("a", Ran(1, 2))
    assert figures_of(one.jobs, one.attempts, NOW).headline == (
        "1 job in 2.0 s on 1 worker: 1 Successful; 100 % of the workers' time was work."
    )


def test_the_tail() -> None:
    """When 90 % are over the tail begins; who then has nothing to do is idle."""
    of = made()
    for place in range(9):
        of.add(f"quick{place}", Ran(10 * place, 10 * place + 10, A))
    of.add("slow", Ran(0, 200, B))
    found = figures_of(of.jobs, of.attempts, NOW).tail
    assert found is not None
    assert found.over_s == {50: 50, 90: 90, 99: 200}
    assert found.begins_s == 90
    assert found.share == pytest.approx(110 / 200)
    assert (found.longest_job, found.longest_s, found.longest_share) == ("slow", 200, 1.0)
    assert found.crew == 2
    assert (found.idle_s, found.idle_share) == (110, 0.5)
    of.add("waits")
    assert figures_of(of.jobs, of.attempts, NOW).tail is None


def test_the_last_to_end() -> None:
    """The last ten are listed, the very last first, with all the time their attempts took."""
    of = made()
    for place in range(12):
        of.add(f"job{place}", Ran(place, place + 1, A, F), Ran(place + 20, place + 22))
    last = figures_of(of.jobs, of.attempts, NOW).last
    assert [job.job_id for job in last] == [f"job{place}" for place in range(11, 1, -1)]
    assert (last[0].took_s, last[0].attempts, last[0].ended_s) == (3, 2, 33)


def test_jobs_that_are_not_over() -> None:
    """What runs counts up to now; what waits has no figures yet; the headline says so."""
    of = made()
    of.add("over", Ran(0, 10, A))
    of.add("runs", Ran(0, 5, B, CUT), runs_since=20)
    of.add("waits")
    found = figures_of(of.jobs, of.attempts, T0 + 100)
    assert (found.makespan_s, found.attempts, found.busy_s) == (100, 3, 10 + 5 + 80)
    assert found.headline.startswith("3 jobs in 1 min 40 s on 2 workers: 1 Successful, and 2 not")
    nothing = made()
    nothing.add("waits")
    assert figures_of(nothing.jobs, {}, T0 + 100).headline == (
        "1 job, none of them over after 1 min 40 s."
    )


def test_only_the_last_run_counts() -> None:
    """What earlier runs of a job did is counted, and left out."""
    of = made()
    of.add("a", Ran(1, 3), run=2)
    earlier = made()
    earlier.add("a", Ran(-500, -400, B, F), Ran(-300, -200, B, F))
    both = {"a": earlier.attempts["a"] + of.attempts["a"]}
    found = figures_of(of.jobs, both, NOW)
    assert (found.attempts, found.earlier_attempts, found.makespan_s) == (1, 2, 3)
    assert [worker.worker for worker in found.workers] == ["w-00000001"]


def test_cancelled_before_they_ran() -> None:
    """Jobs that nobody ever started make no division by nothing."""
    of = made()
    of.add("a", status=Status.CANCELLED)
    found = figures_of(of.jobs, of.attempts, NOW)
    assert (found.makespan_s, found.throughput_s, found.workers, found.tail) == (0, 0, [], None)
    assert found.headline == "1 job in 0 s: 1 Cancelled."


@given(schedules)
def test_what_holds_for_any_history(of: Made) -> None:
    """Nothing is lost or counted twice, and no share is above one."""
    found = figures_of(of.jobs, of.attempts, NOW * 2)
    attempts = [attempt for attempts in of.attempts.values() for attempt in attempts]
    total_s = sum(attempt.ended_at - attempt.started_at for attempt in attempts)
    assert found.attempts == len(attempts)
    assert math.isclose(found.busy_s, total_s, abs_tol=1e-3)
    assert math.isclose(sum(worker.busy_s for worker in found.workers), total_s, abs_tol=1e-3)
    assert sum(worker.attempts for worker in found.workers) == len(attempts)
    assert found.useful_s <= found.busy_s + 1e-3
    assert found.busy_s <= found.life_s + 1e-3
    assert found.most_at_once <= len(found.workers)
    over = sum(number for status, number in found.counts.items() if status.is_final)
    assert sum(sum(part.ended.values()) for part in found.over_time) in (over, 0)
    unwanted = sum(attempt.ending is not Ending.SUCCESSFUL for attempt in attempts)
    assert sum(reason.attempts for reason in found.reasons) == unwanted
    for of_values in (found.waits, found.runs):
        if of_values is not None:
            assert sum(of_values.counts) == of_values.count
            assert list(of_values.edges) == sorted(set(of_values.edges))
            assert of_values.edges[-1] >= of_values.max_s or of_values.max_s < 1e-9
            ordered = [of_values.percentiles[share] for share in sorted(of_values.percentiles)]
            assert ordered == sorted(ordered)
            assert of_values.min_s <= ordered[0]
            assert ordered[-1] <= of_values.max_s
    shares = [worker.of_life for worker in found.workers] + [found.utilisation]
    if found.tail is not None:
        shares += [found.tail.share, found.tail.idle_share, found.tail.longest_share]
    assert all(0 <= share <= 1 for share in shares)
    msgspec.json.encode(found)


def test_a_hundred_thousand_jobs_take_seconds() -> None:
    """The figures of 100,000 jobs are there while one waits."""
    of = made()
    for place in range(100_000):
        since = place / 16
        of.add(f"job{place}", Ran(since, since + 1 + place % 7 / 10, f"w-{place % 16:08x}"))
    began = time.process_time()
    found = figures_of(of.jobs, of.attempts, NOW * 2)
    assert found.jobs == found.attempts == 100_000
    assert time.process_time() - began < 10
