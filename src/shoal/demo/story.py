"""The story of the demo: drop job folders, watch, kill a worker, watch on until all is quiet."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import NamedTuple, Protocol

from shoal.client import Client
from shoal.core.errors import ShoalError
from shoal.core.job import Attempt, Ending, Job, Settlement, Status
from shoal.demo.example import Example
from shoal.demo.look import NOTHING, Kind, Look, News, look, news
from shoal.demo.supervision import Supervision
from shoal.local.environment import LocalEnvironment
from shoal.local.processes import find_started_by

DROP_EVERY_S = 0.15
"""Faster than two workers run the corners, so that a queue grows, and is drained."""

LOOK_EVERY_S = 0.05
STUCK_AFTER_S = 60.0


class DemoFailed(ShoalError):
    """The story did not come to its end."""

    code = "demo_failed"


class Kill(NamedTuple):
    """A worker that the demo killed.

    Args:
        worker: its name.
        pid: its process.
        ran_s: how long its job had been running, in seconds.
        at: when it was killed, in seconds since the epoch.
    """

    worker: str
    pid: int
    ran_s: float
    at: float


class Facts(NamedTuple):
    """What there is to say when the story is over, all of it read back from the environment.

    Args:
        look: the last one, with no worker left if all went well.
        attempts: of every job.
        settlements: all of them.
        delays_ps: the results, by corner.
        kills: the workers that were killed.
        leftovers: processes of killed workers' jobs that still run.
        most_workers: the most that were seen at a time.
        most_queued: the longest that the queue was seen.
        up_exit: exit code of `shoal up`; None when it did not end in time.
        took_s: from the first job folder to the last worker's end.
    """

    look: Look
    attempts: dict[str, list[Attempt]]
    settlements: list[Settlement]
    delays_ps: dict[str, float]
    kills: list[Kill]
    leftovers: list[int]
    most_workers: int
    most_queued: int
    up_exit: int | None
    took_s: float

    @property
    def interrupted(self) -> list[tuple[Kill, Job, Attempt]]:
        """Each kill that interrupted a job, with that job and the attempt that it cost."""
        return [
            (kill, job, attempt)
            for kill in self.kills
            for job_id, job in self.look.jobs.items()
            for attempt in self.attempts[job_id]
            if attempt.worker == kill.worker and attempt.ending == Ending.INTERRUPTED
        ]

    @property
    def retried(self) -> list[Job]:
        """The jobs with an attempt that failed."""
        return [job for job in self.look.jobs.values() if job.failures]


class Screen(Protocol):
    """Shows the story while it goes on."""

    def tell(self, of: News) -> None:
        """Say that something happened."""
        ...

    def show(self, now: Look, dropped: int) -> None:
        """Show how things stand."""
        ...


class Story:
    """One demo.

    Args:
        environment: the folder in which it takes place.
        supervision: the `shoal up` that works on it.
        example: what to run.
        screen: shows it.
    """

    def __init__(
        self,
        environment: LocalEnvironment,
        supervision: Supervision,
        example: Example,
        screen: Screen,
    ) -> None:
        self._client = Client(environment)
        self._logs = environment.layout.logs
        self._supervision = supervision
        self._example = example
        self._screen = screen
        self._folder: Path = environment.layout.root
        self._dropped = 0
        self._inputs: dict[str, set[str]] = {}
        self._drop_at = 0.0
        self._most_workers = 0
        self._most_queued = 0
        self._kills: list[Kill] = []
        self._may_fail = {of.name for of in example.corners if of.fail_once}
        self._result_shown = False

    def run(self) -> Facts:
        """Go through it all.

        Raises:
            DemoFailed: nothing has moved for long, or `shoal up` is gone.
        """
        before = NOTHING
        self._await_supervisor()
        began = moved = time.monotonic()
        while True:
            self._drop_next()
            now = look(self._client, time.time())
            self._most_workers = max(self._most_workers, len(now.workers))
            self._most_queued = max(self._most_queued, now.count(Status.QUEUED))
            for of in news(self._client, before, now):
                self._screen.tell(of)
            self._show_first_result(now)
            self._screen.show(now, self._dropped)
            self._kill_a_worker(now)
            if (now.jobs, now.workers) != (before.jobs, before.workers):
                moved = time.monotonic()
            self._check_alive(moved)
            before = now
            if now.over == len(self._example.corners) and not now.workers:
                return self._facts(time.monotonic() - began)
            time.sleep(LOOK_EVERY_S)

    def _await_supervisor(self) -> None:
        began = time.monotonic()
        while not self._client.is_supervised():
            self._check_alive(began)
            time.sleep(LOOK_EVERY_S)
        self._screen.tell(
            News(
                Kind.STEP,
                f"'shoal up' (process {self._supervision.pid}) watches {self._folder};"
                f" workers: {len(self._client.workers())}",
            )
        )

    def _check_alive(self, moved: float) -> None:
        messages = f"its messages are in {self._logs / 'up.log'}"
        if (code := self._supervision.exit_code) is not None:
            raise DemoFailed(f"'shoal up' ended too early, with exit code {code}", messages)
        if time.monotonic() - moved > STUCK_AFTER_S:
            raise DemoFailed(f"nothing has moved for {STUCK_AFTER_S:g} s", messages)

    def _drop_next(self) -> None:
        """Drop the next job folder when its time has come."""
        total = len(self._example.corners)
        if self._dropped == total or time.monotonic() < self._drop_at:
            return
        if self._dropped == 0:
            self._screen.tell(
                News(Kind.STEP, f"dropping {total} job folders in, one every {DROP_EVERY_S:g} s")
            )
        self._example.drop(self._dropped, self._folder)
        corner = self._example.corners[self._dropped].name
        self._inputs[corner] = set(os.listdir(self._folder / corner))
        self._drop_at = time.monotonic() + DROP_EVERY_S
        self._dropped += 1
        if self._dropped == total:
            self._screen.tell(News(Kind.STEP, f"all {total} job folders are there"))

    def _show_first_result(self, now: Look) -> None:
        if self._result_shown:
            return
        for job in now.jobs.values():
            folder = job.spec.folder
            if job.status == Status.SUCCESSFUL and folder is not None:
                results = sorted(set(os.listdir(self._folder / folder)) - self._inputs[folder])
                text = f"the first results are beside their inputs: {folder}/{', '.join(results)}"
                self._screen.tell(News(Kind.STEP, text))
                self._result_shown = True
                return

    def _kill_a_worker(self, now: Look) -> None:
        """In mid-run, kill a worker that really runs a job; another if that came too late."""
        in_mid_run = now.over >= len(self._example.corners) // 3
        if not in_mid_run or (self._kills and not self._came_too_late(now)):
            return
        for name, (job, state) in now.running.items():
            if name not in now.workers or not self._is_really_running(job):
                continue
            pid = now.workers[name].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            at = time.time()
            ran_s = at - state.lease.started_at
            self._kills.append(Kill(name, pid, ran_s, at))
            said = f"SIGKILL to worker {name} (process {pid}), {ran_s:.1f} s into {job.job_id}"
            self._screen.tell(News(Kind.TROUBLE, said))
            return

    def _is_really_running(self, job: Job) -> bool:
        """Whether its first attempt has said something, and is not the one that fails anyway."""
        if job.attempt != 1 or job.spec.folder in self._may_fail:
            return False
        return any(self._client.output(job.job_id, job.token))

    def _came_too_late(self, now: Look) -> bool:
        """Whether the last kill has hit a worker between two jobs, which interrupts nothing."""
        worker = self._kills[-1].worker
        if worker in now.workers or worker in now.running:
            return False
        return not any(
            attempt.worker == worker and attempt.ending == Ending.INTERRUPTED
            for job in now.jobs.values()
            if job.interruptions
            for attempt in self._client.attempts(job.job_id)
        )

    def _facts(self, took_s: float) -> Facts:
        up_exit = self._supervision.leave()
        last = look(self._client, time.time())
        return Facts(
            look=last,
            attempts={job_id: self._client.attempts(job_id) for job_id in last.jobs},
            settlements=list(self._client.settlements()),
            delays_ps=self._example.delays_ps(self._folder),
            kills=self._kills,
            leftovers=[
                process.pid for kill in self._kills for process in find_started_by(kill.worker)
            ],
            most_workers=self._most_workers,
            most_queued=self._most_queued,
            up_exit=up_exit,
            took_s=took_s,
        )
