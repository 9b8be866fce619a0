"""Figures of Shoal alone: latency, bulk submission, a million queued jobs, start-up, idling."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from contender import folder_of, supervised, warm_up

import shoal
from shoal.core.spec import JobSpec

MILLION = 1_000_000


class Figure(NamedTuple):
    """What was measured, and what it should be."""

    what: str
    measured: str
    goal: str


def latency(folder: Path) -> list[Figure]:
    """From `submit` to the recorded result of one job, with an idle worker and with none."""
    warm, cold = [], []
    with supervised(folder, 1, linger_s=60.0) as client:
        warm_up(client, 1)
        for number in range(200):
            warm.append(_one_job(client, f"warm-job-{number}"))
            time.sleep(0.002)
    (folder / "cold").mkdir()
    with supervised(folder / "cold", 1, linger_s=0.0) as client:
        for number in range(15):
            while client.workers():
                time.sleep(0.01)
            time.sleep(0.1)
            cold.append(_one_job(client, f"cold-job-{number}"))
    return [
        Figure("one job, an idle worker", _spread_ms(warm), "median < 7 ms"),
        Figure("one job, from zero workers", _spread_ms(cold), "median < 300 ms"),
    ]


def _one_job(client: shoal.Client, name: str) -> float:
    started = time.perf_counter()
    client.submit({"job_id": name, "commands": ["true"]})
    client.wait([name])
    return (time.perf_counter() - started) * 1000


def bulk(folder: Path, jobs: int) -> list[Figure]:
    """Submit many jobs, then look at what they cost those who come after."""
    with shoal.connect(folder / "bulk") as client:
        specs = (JobSpec(job_id=f"job-{n}", commands=("true",)) for n in range(jobs))
        submitted_s = _seconds(lambda: client.submit_many(specs))
        figures = [
            Figure(
                f"bulk submission of {jobs:,} jobs, from Python",
                f"{jobs / submitted_s:,.0f} jobs/s",
                "≥ 100,000 jobs/s",
            )
        ]
        store = client.environment.store
        claims = []
        for _ in range(2000):
            claims.append(_seconds(lambda: store.claim("bench", time.time(), 60.0)) * 1000)
        claims.sort()
        p99 = claims[int(len(claims) * 0.99)]
        figures.append(
            Figure(
                f"a claim beside {jobs:,} queued jobs",
                f"median {statistics.median(claims):.2f} ms, 99th percentile {p99:.2f} ms",
                "99th percentile < 2 ms",
            )
        )
    status = [
        _seconds(lambda: _run("status", "-e", str(folder / "bulk"), "--json")) for _ in range(5)
    ]
    measured = _spread_ms([1000 * s for s in status])
    figures.append(Figure("`shoal status` beside them", measured, "< 500 ms"))
    return figures


PAGES = {
    "overview": "/",
    "its figures": "/now",
    "table": "/jobs",
    "table, by name": "/jobs?order=name",
    "a rare name": "/jobs?q=*77777*",
    "a name that is not there": "/jobs?q=*nobody*",
    "what failed": "/jobs?status=Failed",
    "one job": "/job?id=job-4711",
    "workers": "/workers",
    "timeline": "/workers/timeline",
}


def pages(folder: Path, jobs: int) -> list[Figure]:
    """How long the dashboard takes to answer, beside the jobs that `bulk` has left."""
    import httpx

    words = ["ui", "-e", str(folder / "bulk"), "--no-open"]
    with (
        subprocess.Popen(
            [str(Path(sys.executable).with_name("shoal")), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as server,
        httpx.Client(follow_redirects=True, timeout=30.0) as browser,
    ):
        assert server.stdout is not None
        base = httpx.URL(server.stdout.readline().strip())
        browser.get(base).raise_for_status()
        slowest = {}
        for name, path in PAGES.items():
            times = []
            for _ in range(10):
                started = time.perf_counter()
                browser.get(base.join(path)).raise_for_status()
                times.append(1000 * (time.perf_counter() - started))
            slowest[name] = times
        server.terminate()
    every = [ms for times in slowest.values() for ms in times]
    worst = max(slowest, key=lambda name: max(slowest[name]))
    return [
        Figure(
            f"a page of the dashboard beside {jobs:,} jobs",
            f"{_spread_ms(every)}, the slowest: {worst}",
            "< 100 ms",
        )
    ]


def bulk_file(folder: Path, jobs: int) -> list[Figure]:
    """Submit a file of jobs by the command line, with the memory it takes."""
    import resource

    file = folder / "jobs.jsonl"
    with file.open("w") as stream:
        for number in range(jobs):
            stream.write(f'{{"job_id": "job-{number}", "retry": "3", "commands": ["true"]}}\n')
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    elapsed = _seconds(lambda: _run("submit", "-e", str(folder / "file"), "--file", str(file)))
    peak_mb = max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024
    return [
        Figure(
            f"`shoal submit --file` with {jobs:,} jobs",
            f"{jobs / elapsed:,.0f} jobs/s, at most {peak_mb:.0f} MB",
            "bounded memory",
        )
    ]


def startup() -> list[Figure]:
    """How long a person waits for the shortest answers."""
    return [
        Figure(
            "`shoal --help`",
            _spread_ms([1000 * _seconds(lambda: _run("--help")) for _ in range(10)]),
            "< 150 ms",
        )
    ]


def small_status(folder: Path) -> list[Figure]:
    """`shoal status` of an environment with a few jobs."""
    with shoal.connect(folder / "small") as client:
        client.submit(*({"job_id": f"job-{n}", "commands": ["true"]} for n in range(30)))
    times = [
        1000 * _seconds(lambda: _run("status", "-e", str(folder / "small"))) for _ in range(10)
    ]
    return [Figure("`shoal status`, 30 jobs", _spread_ms(times), "< 150 ms")]


def idle(folder: Path, seconds: float) -> list[Figure]:
    """Processor time of a supervisor with nothing to do."""
    import psutil

    with supervised(folder, 2) as client:
        pid = int(folder_of(client).layout.supervisor_lock.read_text())
        time.sleep(1.0)
        process = psutil.Process(pid)
        before = sum(process.cpu_times()[:2])
        time.sleep(seconds)
        used = sum(process.cpu_times()[:2]) - before
    return [
        Figure("an idle supervisor", f"{100 * used / seconds:.2f} % of a core", "< 1 % of a core")
    ]


def _run(*arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("shoal")), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _spread_ms(times_ms: list[float]) -> str:
    return (
        f"median {statistics.median(times_ms):.1f} ms ({min(times_ms):.1f} to {max(times_ms):.1f})"
    )
