"""Runs jobs by huey with SQLite and a consumer of W processes; runs in the peers' virtualenv.

Started as `huey_driver.py COMMAND JOBS WORKERS` in a fresh folder. Writes
`{"elapsed_s": ..., "succeeded": ...}` to `outcome.json` there.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from huey_tasks import HUEY, run_task

POLL_S = 0.02
START_LIMIT_S = 30.0
STOP_LIMIT_S = 10.0


def start_consumer(workers: int) -> subprocess.Popen[bytes]:
    """Start huey's own consumer, with delays so short that no worker sleeps through the start."""
    arguments = [sys.executable, "-m", "huey.bin.huey_consumer", "huey_tasks.HUEY"]
    arguments += ["--worker-type=process", f"--workers={workers}", "--quiet", "--no-periodic"]
    arguments += ["--delay=0.005", "--max-delay=0.02", "--logfile=consumer.log"]
    path = {"PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(arguments, env={**os.environ, **path}, stdin=subprocess.DEVNULL)


def stop_consumer(consumer: subprocess.Popen[bytes]) -> None:
    """Ask the consumer to stop, then insist."""
    consumer.send_signal(signal.SIGINT)
    try:
        consumer.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        consumer.kill()
        consumer.wait()


def wait_for_results(count: int, consumer: subprocess.Popen[bytes], limit_s: float) -> None:
    """Return when `count` results are stored; raise TimeoutError past the limit."""
    last_look = time.monotonic() + limit_s
    while HUEY.storage.result_store_size() < count:
        if consumer.poll() is not None or time.monotonic() > last_look:
            raise TimeoutError(f"huey stored fewer than {count} results")
        time.sleep(POLL_S)


def main() -> None:
    """Time from the first submission until the last result is stored."""
    command, jobs, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    consumer = start_consumer(workers)
    try:
        for _ in range(workers):
            run_task(":")
        wait_for_results(workers, consumer, START_LIMIT_S)
        HUEY.storage.flush_results()
        started = time.perf_counter()
        handles = [run_task(command) for _ in range(jobs)]
        # No limit of its own: the bench ends a driver that takes too long.
        wait_for_results(jobs, consumer, float("inf"))
        elapsed_s = time.perf_counter() - started
    finally:
        stop_consumer(consumer)
    results = [handle.get(preserve=True) for handle in handles]
    succeeded = sum(result is not None and result[0] == 0 for result in results)
    outcome = {"elapsed_s": elapsed_s, "succeeded": succeeded}
    Path("outcome.json").write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
