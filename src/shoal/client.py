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

from msgspec.structs import replace

from shoal.client_ports import Environment, Log, Reading
from shoal.core.errors import JobNotFound
from shoal.core.intake import plan_job
from shoal.core.job import Attempt, Job, Settlement, Started, Status, Token
from shoal.core.spec import JobSpec, check_batch, check_job_id, spec_from_dict, validate
from shoal.environment import open_environment
from shoal.ports import Counts, Order, Page, Query, Submission, SubmitReport, Worker

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

    def submit(
        self,
        *jobs: JobSpec | dict[str, Any],
        batch: str | None = None,
        stop_on_success: bool = False,
    ) -> SubmitReport:
        """Submit jobs, given as specs or as dicts with the keys of the job JSON.

        When this returns, they survive a power cut.

        Args:
            jobs: they are one batch, but for those that name a batch of their own.
            batch: its id; None makes a new one.
            stop_on_success: when one is Successful, cancel the rest.

        Raises:
            SpecError: one is not acceptable; none was submitted.
        """
        batch = check_batch(batch) if batch is not None else new_batch()
        specs = [
            spec_from_dict({"batch": batch, **job}) if isinstance(job, dict) else job
            for job in jobs
        ]
        given = [
            replace(
                spec,
                batch=spec.batch or batch,
                stop_on_success=spec.stop_on_success or stop_on_success,
            )
            for spec in specs
        ]
        return self.submit_many([validate(spec) for spec in given], batch=batch)

    def submit_many(
        self,
        specs: Iterable[JobSpec],
        *,
        batch: str | None = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> SubmitReport:
        """Submit any number of validated specs, in bounded memory: they are taken as they come.

        Args:
            specs: the jobs.
            batch: the id of the batch of those that don't name one; None makes a new one.
            on_progress: called now and then with how many were taken so far.
        """
        deliveries = self._deliveries
        batch = check_batch(batch) if batch is not None else new_batch()
        if on_progress is not None:
            specs = _counted(specs, on_progress)
        return self._store.submit(
            (
                Submission(spec if spec.batch else replace(spec, batch=batch), next(deliveries))
                for spec in specs
            ),
            time.time(),
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
        batch: str | None = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> list[str]:
        """Submit job folders, as `submit_folder` does with one.

        Args:
            folders: their paths.
            options: keys of the job JSON that override the environment's settings, for all.
            batch: the id of their batch; None makes a new one.
            on_progress: called now and then with how many jobs were submitted so far.
        """
        rules = self.environment.intake_rules
        given = {name: value for name, value in (options or {}).items() if value is not None}
        given["batch"] = batch or given.get("batch") or new_batch()
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

    def counts(self, batch: str | None = None) -> Counts:
        """How many jobs there are, by status; of all, or of a batch."""
        return self._store.counts(batch)

    def job(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        return self._store.job(job_id)

    def jobs(
        self,
        pattern: str | None = None,
        statuses: Sequence[Status] = (),
        limit: int | None = None,
        batch: str | None = None,
    ) -> list[Job]:
        """Jobs by glob, status and batch, the newest first."""
        return self._store.jobs(pattern, statuses, limit, batch)

    @property
    def orders(self) -> tuple[Order, ...]:
        """What `page` can sort by here."""
        return self._store.orders

    def page(self, query: Query, after: str | None = None, limit: int = 50) -> Page:
        """A page of jobs, soon, however many there are; `Page.after` is where to go on."""
        return self._store.page(query, after, limit)

    def recent(self, since: float, limit: int) -> list[Job]:
        """Jobs that run, or wait for another attempt, or of which a run ended since a time."""
        return self._store.recent(since, limit)

    def select(
        self,
        names: Sequence[str],
        statuses: Sequence[Status] = (),
        batch: str | None = None,
    ) -> list[Job]:
        """The jobs that ids or glob patterns name; an id that is there is taken as it stands.

        Args:
            names: of them; none means all of the batch.
            statuses: those wanted; none takes all.
            batch: the id of theirs; None takes any.

        Raises:
            JobNotFound: a plain id, a pattern, or a batch, that names no job at all, or a name that
                names none of the batch.
        """
        found: dict[str, Job] = {}
        if batch is not None and not names:
            if not (members := self.jobs(batch=batch)):
                raise _no_batch(batch)
            return [job for job in members if not statuses or job.status in statuses]
        for name in names:
            try:
                matches = [self.job(name)]
            except JobNotFound:
                if not PATTERN_CHARACTERS & set(name):
                    raise
                if not (matches := self.jobs(name, batch=batch)):
                    of = "" if batch is None else f" of batch {batch!r}"
                    raise JobNotFound(
                        f"no job{of} matches {name!r}", "'shoal status' lists them"
                    ) from None
            if batch is not None and matches[0].spec.batch != batch:
                raise JobNotFound(
                    f"job {name!r} is not of batch {batch!r}", "'shoal status JOB' says of which"
                )
            found.update((job.job_id, job) for job in matches)
        return [job for job in found.values() if not statuses or job.status in statuses]

    def attempts(self, job_id: str) -> list[Attempt]:
        """The attempts of a job that ended, over all its runs."""
        return self._store.attempts(job_id)

    def attempts_of(self, jobs: Sequence[Job]) -> dict[str, list[Attempt]]:
        """The same for many jobs, by job id."""
        return self._store.attempts_of(jobs)

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
        batch: str | None = None,
        timeout_s: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Progress:
        """Wait until jobs are over.

        Args:
            names: ids or glob patterns; none means all jobs.
            batch: the id of theirs; None takes any.
            timeout_s: return after this long even when some are not.
            on_progress: called whenever something may have changed.

        Returns:
            How far they have come; all over, unless the time ran out.
        """
        give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
        is_listed = not names or any(PATTERN_CHARACTERS & set(name) for name in names)
        lag_s = self.environment.lag_s if is_listed else 0.0
        if batch is not None and lag_s and not self.counts(batch).total:
            time.sleep(lag_s)
        with self.environment.changes() as wait_for_change:
            while True:
                progress = self._progress(names, batch)
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

    def _progress(self, names: Sequence[str], batch: str | None) -> Progress:
        if not names:
            counts = self.counts(batch)
            if batch is not None and not counts.total:
                raise _no_batch(batch)
            return Progress(counts.by_status)
        by_status: dict[Status, int] = {}
        for job in self.select(names, batch=batch):
            by_status[job.status] = by_status.get(job.status, 0) + 1
        return Progress(by_status)

    # --- change -----------------------------------------------------------------------------

    def cancel(self, *names: str, batch: str | None = None) -> list[Job]:
        """Cancel queued and started jobs by id, glob or batch; returns those cancelled.

        Raises:
            JobNotFound: a name that fits no job.
            NotAllowed: a job named by its id is over already.
        """
        return self._each(names, batch, LIVE, self._store.cancel, self._store.cancel_many)

    def retry(self, *names: str, batch: str | None = None) -> list[Job]:
        """Queue failed and cancelled jobs again, by id, glob or batch; returns those queued."""
        return self._each(names, batch, UNSUCCESSFUL, self._store.retry, self._store.retry_many)

    def _each(
        self,
        names: Sequence[str],
        batch: str | None,
        statuses: Sequence[Status],
        change_one: Callable[[str, float], Job],
        change_many: Callable[[Sequence[str], float], list[Job]],
    ) -> list[Job]:
        """Who names a job means that job, and learns why not; a pattern means those it can be."""
        if batch is not None:
            of_batch = [job.job_id for job in self.select(names, statuses, batch)]
            return change_many(of_batch, time.time())
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

    def fetch(
        self, names: Sequence[str], destination: Path, batch: str | None = None
    ) -> list[Path]:
        """Copy the results of jobs, or of a batch, to a folder, in a subfolder a job folder.

        Raises:
            JobNotFound: a name that fits no job.
            BucketError: a result is gone.
        """
        return list(self.environment.folders.fetch(self.select(names, batch=batch), destination))

    def results(self, job_id: str) -> list[str]:
        """The keys of a job's results. Raises JobNotFound."""
        return self.environment.folders.results(self.job(job_id))

    def open_result(self, job_id: str, key: str) -> Reading:
        """Open one result of a job for reading, to be closed.

        Raises:
            JobNotFound: there is no such job.
            BucketError: it is none of its results, or is gone.
        """
        return self.environment.folders.read(self.job(job_id), key)


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


def _no_batch(batch: str) -> JobNotFound:
    return JobNotFound(
        f"there is no job of batch {batch!r}", "'shoal submit' says the id, 'shoal status JOB' too"
    )


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


def new_batch() -> str:
    """An id for a batch that nobody has used; those made later sort behind it."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"


def new_job_id(prefix: str) -> str:
    """A job id nobody has used: for commands submitted without a name."""
    return check_job_id(f"{prefix}-{os.urandom(4).hex()}")
