"""Shoal as a contestant: a supervisor with warm workers, as a user has it while working."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contest import Contestant, Lost, Record
from processes import child_environment

import shoal
from shoal.client import Client
from shoal.core.job import Status
from shoal.core.spec import JobSpec
from shoal.local.environment import LocalEnvironment

WARM_LIMIT_S = 30.0


class Shoal(Contestant):
    """Jobs through `shoal.connect(...)`, synced to disk, run by workers that `shoal up` started."""

    name = "Shoal"
    record: Record = "durable"
    note = "synced submissions, output kept"

    def run(self, command: str, jobs: int, workers: int, folder: Path) -> float:
        """Measure from the first submission until the last job is recorded."""
        specs = [JobSpec(job_id=f"job-{n}", commands=(command,)) for n in range(jobs)]
        with supervised(folder, workers) as client:
            warm_up(client, workers)
            started = time.perf_counter()
            client.submit_many(specs)
            client.wait()
            elapsed = time.perf_counter() - started
            good = client.counts().by_status[Status.SUCCESSFUL] - workers
        if good != jobs:
            raise Lost(jobs - good, elapsed)
        return elapsed


@contextmanager
def supervised(folder: Path, workers: int, linger_s: float = 20.0) -> Iterator[Client]:
    """An environment in a folder with `shoal up` running on it."""
    variables = {**child_environment(folder), "SHOAL_LINGER_S": str(linger_s)}
    environment = folder / "environment"
    environment.mkdir()
    up = subprocess.Popen(
        [sys.executable, "-m", "shoal.cli.main", "up", environment, "--max-workers", str(workers)],
        env=variables,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with shoal.connect(environment) as client:
            while not client.is_supervised():
                time.sleep(0.01)
            yield client
            folder_of(client).fleet.drain()
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait()


def folder_of(client: Client) -> LocalEnvironment:
    """The environment, which is a folder here."""
    assert isinstance(client.environment, LocalEnvironment)
    return client.environment


def warm_up(client: Client, workers: int) -> None:
    """Have all workers start, run a job each and wait idle for the next."""
    client.submit_many(
        [JobSpec(job_id=f"warm-{n}", commands=("sleep 0.5",)) for n in range(workers)]
    )
    client.wait()
    idle = folder_of(client).layout.bells / "idle"
    give_up_at = time.monotonic() + WARM_LIMIT_S
    while len(list(idle.glob("*"))) < workers and time.monotonic() < give_up_at:
        time.sleep(0.01)
