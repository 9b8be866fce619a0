"""Runs jobs on Parsl's ThreadPoolExecutor; runs inside the peers' virtualenv.

Started as `parsl_driver.py COMMAND JOBS WORKERS` in a fresh folder. Writes
`{"elapsed_s": ..., "succeeded": ...}` to `outcome.json` there.
"""

import json
import subprocess
import sys
import time
from importlib import import_module  # the peer's package is not installed where types are checked
from pathlib import Path


def run_command(command: str) -> int:
    """Run `command` by sh and return its exit code."""
    arguments = ["sh", "-c", command]
    return subprocess.run(arguments, stdout=subprocess.DEVNULL, check=False).returncode


def main() -> None:
    """Time from the first submission until the last future has its result."""
    parsl = import_module("parsl")
    executor = import_module("parsl.executors").ThreadPoolExecutor
    command, jobs, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    config = parsl.Config(executors=[executor(max_threads=workers)], run_dir="runinfo")
    app = parsl.python_app(run_command)
    with parsl.load(config):
        started = time.perf_counter()
        futures = [app(command) for _ in range(jobs)]
        succeeded = sum(future.exception() is None and future.result() == 0 for future in futures)
        elapsed_s = time.perf_counter() - started
    outcome = {"elapsed_s": elapsed_s, "succeeded": succeeded}
    Path("outcome.json").write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
