"""Runs jobs on HyperQueue's LocalCluster; runs inside the peers' virtualenv.

Started as `hyperqueue_driver.py COMMAND JOBS WORKERS` in a fresh folder. Writes
`{"elapsed_s": ..., "succeeded": ...}` to `outcome.json` there. Each task's output is kept in a
file, as HyperQueue does by default.
"""

import json
import sys
import time
from importlib import import_module  # the peer's package is not installed where types are checked
from pathlib import Path
from typing import Any

# HyperQueue's own wait looks once a second: too coarse here. Asking costs it about 1 ms, so this
# takes about 3 % of one core from it.
POLL_S = 0.03


class _SeenError(Exception):
    """Ends HyperQueue's wait after its first look."""


def wait_for_job(connection: Any, job_id: int) -> int:
    """Return how many tasks of the job succeeded, once all have ended."""
    looks: list[dict[str, int]] = []

    def look(jobs: dict[int, dict[str, int]]) -> None:
        looks.append(dict(jobs[job_id]))
        raise _SeenError

    while True:
        try:
            connection.wait_for_jobs([job_id], look)
        except _SeenError:
            if looks[-1]["completed"]:
                return looks[-1]["finished"]
        time.sleep(POLL_S)


def main() -> None:
    """Time from the submission until the server knows the end of the last task."""
    hyperqueue = import_module("hyperqueue")
    worker = import_module("hyperqueue.cluster").WorkerConfig
    command, jobs, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    folder = Path.cwd()
    first = hyperqueue.Job(default_workdir=folder / "first")
    job = hyperqueue.Job(default_workdir=folder / "tasks", max_fails=None)
    for _ in range(workers):
        first.program(["sh", "-c", ":"])
    for _ in range(jobs):
        job.program(["sh", "-c", command])
    with hyperqueue.LocalCluster(str(folder / "server"), worker(cores=workers)) as cluster:
        client = cluster.client()
        wait_for_job(client.connection, client.submit(first).id)  # by then the workers are up
        started = time.perf_counter()
        submitted = client.submit(job)
        succeeded = wait_for_job(client.connection, submitted.id)
        elapsed_s = time.perf_counter() - started
    outcome = {"elapsed_s": elapsed_s, "succeeded": succeeded}
    Path("outcome.json").write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
