"""Passing on beside other work of a process, in a thread with a store of its own."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread

from shoal.local.environment import LocalEnvironment
from shoal.pipeline.ledger import held_runs
from shoal.pipeline.passing import Pipeline
from shoal.pipeline.route import Route

log = logging.getLogger(__name__)

LEAVE_S = 10.0
"""How long a folder that is being copied may take when the process wants to end. What is cut off is
done again by the next."""


@contextmanager
def passing_on(
    source: LocalEnvironment, route: Route, report: Callable[[str], object]
) -> Iterator[Callable[[], bool]]:
    """Pass on while inside.

    Args:
        source: whose jobs are passed on.
        route: where to.
        report: told what was done, and what can't be.

    Yields:
        Whether everything was passed on, or is held with a reason. The supervisor's bell is rung
        when that may have changed.

    Raises:
        ShoalError: nothing could be passed on.
    """
    own = source.again()
    try:
        pipeline = Pipeline(own, route, report)
        pipeline.check()
    except BaseException:
        own.close()
        raise
    leave = Event()
    thread = Thread(
        target=_follow,
        args=(pipeline, own, leave, source.bells.ring_supervisor),
        name="pipeline",
        daemon=True,
    )
    thread.start()
    try:
        yield lambda: pipeline.is_done(source)
    finally:
        leave.set()
        source.bells.ring_watchers()
        thread.join(LEAVE_S)
    if held := len(held_runs(source)):
        report(f"not passed on: {held} job{'s' * (held != 1)}; 'shoal doctor' says why")


def _follow(
    pipeline: Pipeline, own: LocalEnvironment, leave: Event, moved: Callable[[], object]
) -> None:
    try:
        with closing(own):
            pipeline.follow(leave.is_set, moved)
    except Exception:
        # A defect: nobody must think that jobs are passed on when they are not.
        log.exception("jobs can't be passed on any more: this process ends")
        os.kill(os.getpid(), signal.SIGTERM)
