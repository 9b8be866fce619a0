"""`shoal worker`: run one worker in this process. The fleet starts its workers this way too."""

from __future__ import annotations

import gc
import logging
import os
import random
import sys
import time


def run_worker(environment: str, worker: str) -> None:
    """Work until the queue is empty.

    Args:
        environment: its name.
        worker: a name no other worker has.
    """
    from shoal.environment import open_local
    from shoal.local import processes
    from shoal.local.attention import SignalAttention
    from shoal.local.bells import STOP
    from shoal.local.clock import SystemClock
    from shoal.local.fleet import WorkerLock
    from shoal.local.runner import LocalRunner
    from shoal.scheduler import Scheduler
    from shoal.worker import WorkerLoop

    opened = open_local(environment, synced=False)
    settings = opened.settings
    clock = SystemClock()
    processes.adopt_orphans()
    with (
        WorkerLock(opened.layout, worker, clock.now()),
        opened.bells.hang(STOP, worker) as stop_bell,
    ):
        attention = SignalAttention(opened.bells, worker, stop_bell)
        runner = LocalRunner(
            worker, opened.layout, opened.bucket, attention, settings.grace_s, os.environ
        )
        scheduler = Scheduler(worker, opened.store, clock, settings, random.random)
        gc.freeze()  # what is there now stays: no need to look at it again and again
        try:
            WorkerLoop(scheduler, runner, attention, clock, settings).run()
        finally:
            runner.close()
    opened.store.close()
    opened.bells.ring_supervisor()


def main() -> None:
    """The entry point of a launched worker: environment and name as arguments."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.Formatter.converter = time.gmtime
    environment, worker = sys.argv[1:]
    run_worker(environment, worker)


if __name__ == "__main__":
    main()
