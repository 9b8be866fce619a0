"""The client: what the command line, the web page and Python users call.

import shoal

with shoal.connect("./jobs") as jobs:
    jobs.submit({"job_id": "a", "commands": ["echo hello"]})
    jobs.wait()
    for job in jobs.jobs():
        print(job.job_id, job.status)
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from shoal.client_ports import Environment, Log
from shoal.core.errors import JobNotFound
from shoal.core.intake import plan_job
from shoal.core.job import Attempt, Job, Settlement, Started, Status, Token
from shoal.core.spec import JobSpec, check_job_id, spec_from_dict, validate
from shoal.environment import open_environment
from shoal.ports import Counts, Submission, SubmitReport, Worker

LIVE = (Status.QUEUED, Status.STARTED)
UNSUCCESSFUL = (Status.FAILED, Status.CANCELLED)
PATTERN_CHARACTERS = frozenset("*?[")
COUNT_EVERY = 100
"""Jobs between two calls that tell how many were taken: it costs nothing beside their making."""

FEW_JOBS = 4
LOOK_AGAIN_S, LONGEST_LOOK_AGAIN_S = 0.0002, 0.1
"""A client that waits for a few jobs looks at once; for many, it leaves the cores to the jobs."""


class Progress(NamedTuple):
    """How far the jobs that somebody waits for have come."""

    by_status: dict[Status, int]

    @property
    def total(self) -> int:
        """Jobs that are waited for."""
        return sum(self.by_status.values())

    @property
    def over(self) -> int:
        """Those of them that are finished."""
        return sum(number for status, number in self.by_status.items() if status.is_final)

    @property
    def all_successful(self) -> bool:
        """Whether every one of them is Successful."""
        return self.by_status.get(Status.SUCCESSFUL, 0) == self.total


class Client:
    """An environment, for those who use it. Close it, or use it in a `with` statement.

    Args:
        environment: as opened by `shoal.environment`.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._store = environment.store
        client = os.urandom(8).hex()
        self._deliveries = (f"{client}-{number}" for number in count())

    def close(self) -> None:
        """Let go of the environment."""
        self.environment.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- submit -----------------------------------------------------------------------------

    def submit(self, *jobs: JobSpec | dict[str, Any]) -> SubmitReport:
        """Submit jobs, given as specs or as dicts with the keys of the job JSON.

        When this returns, they survive a power cut.

        Raises:
            SpecError: one is not acceptable; none was submitted.
        """
        return self.submit_many(
            [spec_from_dict(job) if isinstance(job, dict) else validate(job) for job in jobs]
        )

    def submit_many(
        self, specs: Iterable[JobSpec], *, on_progress: Callable[[int], object] | None = None
    ) -> SubmitReport:
        """Submit any number of validated specs, in bounded memory: they are taken as they come.

        Args:
            specs: the jobs.
            on_progress: called now and then with how many were taken so far.
        """
        deliveries = self._deliveries
        if on_progress is not None:
            specs = _counted(specs, on_progress)
        return self._store.submit(
            (Submission(spec, next(deliveries)) for spec in specs), time.time()
        )

    def submit_folder(self, folder: Path | str, **options: Any) -> list[str]:
        """Submit a job folder: each file in it with a trigger suffix is a job.

        A folder outside the environment is copied into it first.

        Args:
            folder: its path; for a stack, `s3://BUCKET/FOLDER` names one in its bucket.
            options: keys of the job JSON that override the environment's settings.

        Returns:
            The ids of the jobs.

        Raises:
            BucketError: there is nothing to run in it, or it can't be taken.
            SpecError: an option makes no sense.
        """
        return self.submit_folders([folder], options)

    def submit_folders(
        self,
        folders: Sequence[Path | str],
        options: dict[str, Any] | None = None,
        *,
        on_progress: Callable[[int], object] | None = None,
    ) -> list[str]:
        """Submit job folders, as `submit_folder` does with one.

        Args:
            folders: their paths.
            options: keys of the job JSON that override the environment's settings, for all.
            on_progress: called now and then with how many jobs were submitted so far.
        """
        rules = self.environment.intake_rules
        given = {name: value for name, value in (options or {}).items() if value is not None}
        ids: list[str] = []
        brought = self.environment.folders.bring(
            [str(folder) for folder in folders],
            lambda key: _with_options(plan_job(key, rules), given),
        )
        for submissions in brought:
            self._store.submit(submissions, time.time())
            ids += [spec.job_id for spec, _ in submissions]
            if on_progress is not None:
                on_progress(len(ids))
        return ids

    # --- look -------------------------------------------------------------------------------

    def counts(self) -> Counts:
        """How many jobs there are, by status."""
        return self._store.counts()

    def job(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        return self._store.job(job_id)

    def jobs(
        self, pattern: str | None = None, statuses: Sequence[Status] = (), limit: int | None = None
    ) -> list[Job]:
        """Jobs by glob and status, the newest first."""
        return self._store.jobs(pattern, statuses, limit)

    def select(self, names: Sequence[str], statuses: Sequence[Status] = ()) -> list[Job]:
        """The jobs that ids or glob patterns name; an id that is there is taken as it stands.

        Raises:
            JobNotFound: a plain id, or a pattern, that names no job at all.
        """
        found: dict[str, Job] = {}
        for name in names:
            try:
                matches = [self.job(name)]
            except JobNotFound:
                if not PATTERN_CHARACTERS & set(name):
                    raise
                if not (matches := self.jobs(name)):
                    raise JobNotFound(
                        f"no job matches {name!r}", "'shoal status' lists them"
                    ) from None
            found.update((job.job_id, job) for job in matches)
        return [job for job in found.values() if not statuses or job.status in statuses]

    def attempts(self, job_id: str) -> list[Attempt]:
        """The attempts of a job that ended, over all its runs."""
        return self._store.attempts(job_id)

    def workers(self) -> list[Worker]:
        """The workers that are alive."""
        return self.environment.workers()

    def is_paused(self) -> bool:
        """Whether no job may start."""
        return self._store.is_paused()

    def is_supervised(self) -> bool:
        """Whether somebody starts workers when there are jobs: `shoal up`, or a stack."""
        return self.environment.is_supervised()

    def log(self, job: Job, token: Token | None = None) -> Log | None:
        """The output of an attempt (None: the last), to be closed; None when there is none.

        Raises:
            JobNotFound: there was no such attempt.
        """
        token = token or job.token
        ended = None
        if not isinstance(job.state, Started) or token != job.token:
            if token.attempt == 0:
                return None
            attempts = (of for of in self.attempts(job.job_id) if of.token == token)
            if (ended := next(attempts, None)) is None:
                raise JobNotFound(
                    f"job {job.job_id!r} has no attempt {token}", "'shoal status JOB' lists them"
                )
        return self.environment.logs.find(job, token, ended)

    def output(
        self, job_id: str, token: Token | None = None, *, follow: bool = False
    ) -> Iterator[bytes]:
        """What an attempt has printed, byte for byte, piece by piece.

        Args:
            job_id: of its job.
            token: names it; None takes the last, and when following, waits for the first.
            follow: go on until the attempt is over.

        Raises:
            JobNotFound: there is no such job, or was no such attempt.
        """
        job = self.job(job_id)
        every_s = self.environment.logs.look_every_s
        while follow and token is None and job.attempt == 0 and not job.status.is_final:
            time.sleep(every_s)
            job = self.job(job_id)
        token = token or job.token
        log: Log | None = None
        try:
            while True:
                over = job.token != token or job.status is not Status.STARTED
                log = log or self.log(job, token)
                if log is not None:
                    yield from log.read(over=over)
                if over or not follow:
                    return
                time.sleep(every_s)
                job = self.job(job_id)
        finally:
            if log is not None:
                log.close()

    # --- wait -------------------------------------------------------------------------------

    def wait(
        self,
        names: Sequence[str] = (),
        *,
        timeout_s: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Progress:
        """Wait until jobs are over.

        Args:
            names: ids or glob patterns; none means all jobs.
            timeout_s: return after this long even when some are not.
            on_progress: called whenever something may have changed.

        Returns:
            How far they have come; all over, unless the time ran out.
        """
        give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
        is_listed = not names or any(PATTERN_CHARACTERS & set(name) for name in names)
        lag_s = self.environment.lag_s if is_listed else 0.0
        with self.environment.changes() as wait_for_change:
            while True:
                progress = self._progress(names)
                if on_progress is not None:
                    on_progress(progress)
                if progress.over == progress.total:
                    if not lag_s:
                        return progress
                    time.sleep(lag_s)  # jobs that were submitted just before may not be listed yet
                    lag_s = 0.0
                    continue
                left_s = None if give_up_at is None else give_up_at - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return progress
                wait_for_change(left_s)
                if (far := progress.total - progress.over) > FEW_JOBS:
                    time.sleep(min(far * LOOK_AGAIN_S, LONGEST_LOOK_AGAIN_S, left_s or math.inf))

    def settlements(self, after: int = 0, *, follow: bool = False) -> Iterator[Settlement]:
        """The runs that ended, in the order they did.

        Args:
            after: the cursor of the last one already seen.
            follow: go on waiting for more.
        """
        with self.environment.changes() as wait_for_change:
            while True:
                found = self._store.settlements(after, 1000)
                yield from found
                if found:
                    after = found[-1].cursor
                elif follow:
                    wait_for_change(None)
                else:
                    return

    def _progress(self, names: Sequence[str]) -> Progress:
        if not names:
            return Progress(self.counts().by_status)
        by_status: dict[Status, int] = {}
        for job in self.select(names):
            by_status[job.status] = by_status.get(job.status, 0) + 1
        return Progress(by_status)

    # --- change -----------------------------------------------------------------------------

    def cancel(self, *names: str) -> list[Job]:
        """Cancel queued and started jobs by id or glob; returns those cancelled.

        Raises:
            JobNotFound: a name that fits no job.
            NotAllowed: a job named by its id is over already.
        """
        return self._each(names, LIVE, self._store.cancel, self._store.cancel_many)

    def retry(self, *names: str) -> list[Job]:
        """Queue failed and cancelled jobs again, by id or glob; returns those queued."""
        return self._each(names, UNSUCCESSFUL, self._store.retry, self._store.retry_many)

    def _each(
        self,
        names: Sequence[str],
        statuses: Sequence[Status],
        change_one: Callable[[str, float], Job],
        change_many: Callable[[Sequence[str], float], list[Job]],
    ) -> list[Job]:
        """Who names a job means that job, and learns why not; a pattern means those it can be."""
        plain = [name for name in names if not PATTERN_CHARACTERS & set(name)]
        changed = [change_one(name, time.time()) for name in dict.fromkeys(plain)]
        patterns = [name for name in names if PATTERN_CHARACTERS & set(name)]
        if patterns:
            found = [job.job_id for job in self.select(patterns, statuses)]
            changed += change_many(found, time.time())
        return changed

    def pause(self) -> None:
        """Let no job start until `resume`."""
        self._store.pause()

    def resume(self) -> None:
        """End a pause."""
        self._store.resume()

    # --- results ----------------------------------------------------------------------------

    def fetch(self, names: Sequence[str], destination: Path) -> list[Path]:
        """Copy the results of jobs to a folder, in a subfolder a job folder.

        Raises:
            JobNotFound: a name that fits no job.
            BucketError: a result is gone.
        """
        return list(self.environment.folders.fetch(self.select(names), destination))


def connect(name: str | Path | None = None, *, create: bool = True) -> Client:
    """Open an environment for use from Python.

    Args:
        name: a folder, or `aws:STACK[@REGION]`; None takes `SHOAL_ENV`, else the current folder.
        create: make a folder an environment when it is none yet.

    Raises:
        EnvironmentMissing: there is none, and it is not to be made.
        StoreError: its store can't be used.
    """
    return Client(open_environment(str(name) if name is not None else None, create=create))


def _counted(specs: Iterable[JobSpec], on_progress: Callable[[int], object]) -> Iterator[JobSpec]:
    number = 0
    for number, spec in enumerate(specs, 1):
        yield spec
        if number % COUNT_EVERY == 0:
            on_progress(number)
    on_progress(number)


def _with_options(spec: JobSpec, options: dict[str, Any]) -> JobSpec:
    fields = {name: getattr(spec, name) for name in spec.__struct_fields__}
    return spec_from_dict({**fields, **options})


def new_job_id(prefix: str) -> str:
    """A job id nobody has used: for commands submitted without a name."""
    return check_job_id(f"{prefix}-{os.urandom(4).hex()}")
