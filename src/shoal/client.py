"""The client: what the command line, the web page and Python users call.

import shoal

with shoal.connect("./jobs") as jobs:
    jobs.submit({"job_id": "a", "commands": ["echo hello"]})
    jobs.wait()
    for job in jobs.jobs():
        print(job.job_id, job.status)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from shoal.core.errors import BucketError, JobNotFound
from shoal.core.intake import is_executable, plan_job
from shoal.core.job import Attempt, Ending, Job, Settlement, Started, Status, Token
from shoal.core.spec import JobSpec, check_job_id, spec_from_dict, validate
from shoal.environment import LocalEnvironment, open_environment
from shoal.ports import Counts, Submission, SubmitReport, Worker

LIVE = (Status.QUEUED, Status.STARTED)
UNSUCCESSFUL = (Status.FAILED, Status.CANCELLED)
PATTERN_CHARACTERS = frozenset("*?[")
LOOK_EVERY_S = 2.0
"""How often a waiting client looks although no bell rang."""

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

    def __init__(self, environment: LocalEnvironment) -> None:
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

    def submit_many(self, specs: Iterable[JobSpec]) -> SubmitReport:
        """Submit any number of validated specs, in bounded memory: they are taken as they come."""
        deliveries = self._deliveries
        return self._store.submit(
            (Submission(spec, next(deliveries)) for spec in specs), time.time()
        )

    def submit_folder(self, folder: Path | str, **options: Any) -> list[str]:
        """Submit a job folder: each file in it with a trigger suffix is a job.

        A folder outside the environment is copied into it first.

        Args:
            folder: its path.
            options: keys of the job JSON that override the environment's settings.

        Returns:
            The ids of the jobs.

        Raises:
            BucketError: there is nothing to run in it, or it can't be taken.
            SpecError: an option makes no sense.
        """
        from shoal.local.watch import problem_with

        folder = Path(os.path.abspath(folder))
        if not folder.is_dir():
            raise BucketError(f"{str(folder)!r} is not a folder", "name a job folder")
        rules = self.environment.settings.intake_rules
        names = sorted(
            entry.name
            for entry in os.scandir(folder)
            if is_executable(entry.name, rules) and entry.is_file()
        )
        if not names:
            raise BucketError(
                f"{str(folder)!r} holds no executable"
                f" (a file ending in {' or '.join(rules.trigger_suffixes)})",
                "add one, or set trigger_suffix",
            )
        for name in names:
            if problem := problem_with(str(folder / name)):
                raise BucketError(
                    f"executable {name!a} {problem}", "put a file that holds something in its place"
                )
        root = self.environment.layout.root
        inside = folder.is_relative_to(root)
        key = folder.relative_to(root).as_posix() if inside else folder.name
        given = {name: value for name, value in options.items() if value is not None}
        keys = [f"{key}/{name}".removeprefix("./") for name in names]
        specs = [_with_options(plan_job(key, rules), given) for key in keys]
        bucket = self.environment.bucket
        if not inside:
            bucket.refuse_existing(key)
            for name in names:
                self._store.disarm(f"{key}/{name}", bucket.version(folder / name))
            bucket.put_folder(folder, key, names)
        submissions = [Submission(spec, bucket.version(bucket.path(spec.job_id))) for spec in specs]
        self._store.submit(submissions, time.time())
        return [spec.job_id for spec in specs]

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
        return self.environment.fleet.workers()

    def is_paused(self) -> bool:
        """Whether no job may start."""
        return self._store.is_paused()

    def is_supervised(self) -> bool:
        """Whether a supervisor watches this environment."""
        from shoal.local.fleet import is_locked

        return is_locked(self.environment.layout.supervisor_lock)

    def log_path(self, job: Job, token: Token | None = None) -> Path | None:
        """Where the output of an attempt is (None: the last); None when it has written nothing.

        Raises:
            JobNotFound: there was no such attempt.
        """
        token = token or job.token
        worker: str | None
        if isinstance(job.state, Started) and token == job.token:
            worker = job.state.lease.worker
        else:
            of = {attempt.token: attempt for attempt in self.attempts(job.job_id)}
            if token not in of:
                if token.attempt == 0:
                    return None
                raise JobNotFound(
                    f"job {job.job_id!r} has no attempt {token}", "'shoal status JOB' lists them"
                )
            # A worker's live log is that of its next attempt soon, unless it went away in this one.
            lost = of[token].ending is Ending.INTERRUPTED
            worker = of[token].worker if lost else None
        return self.environment.layout.find_log(job.job_id, token, worker)

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
        with self._changes() as wait_for_change:
            while True:
                progress = self._progress(names)
                if on_progress is not None:
                    on_progress(progress)
                if progress.over == progress.total:
                    return progress
                left_s = LOOK_EVERY_S
                if give_up_at is not None:
                    left_s = min(left_s, give_up_at - time.monotonic())
                    if left_s <= 0:
                        return progress
                wait_for_change(left_s)
                if (far := progress.total - progress.over) > FEW_JOBS:
                    time.sleep(min(far * LOOK_AGAIN_S, LONGEST_LOOK_AGAIN_S, left_s))

    def settlements(self, after: int = 0, *, follow: bool = False) -> Iterator[Settlement]:
        """The runs that ended, in the order they did.

        Args:
            after: the cursor of the last one already seen.
            follow: go on waiting for more.
        """
        with self._changes() as wait_for_change:
            while True:
                found = self._store.settlements(after, 1000)
                yield from found
                if found:
                    after = found[-1].cursor
                elif follow:
                    wait_for_change(LOOK_EVERY_S)
                else:
                    return

    @contextmanager
    def _changes(self) -> Iterator[Callable[[float], object]]:
        """A function that waits for a settlement, or for the given seconds."""
        from shoal.local.bells import WATCH

        with self.environment.bells.hang(WATCH, f"{os.getpid()}-{os.urandom(4).hex()}") as bell:
            yield bell.wait

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
        fetched = []
        for job in self.select(names):
            for key in self._store.results(job.job_id):
                target = destination / key
                try:
                    self.environment.bucket.fetch(key, target)
                except FileNotFoundError:
                    raise BucketError(
                        f"result {key!r} of job {job.job_id!r} is not in the bucket any more",
                        "submit the job again to make it anew",
                    ) from None
                fetched.append(target)
        return fetched


def connect(name: str | Path | None = None, *, create: bool = True) -> Client:
    """Open an environment for use from Python.

    Args:
        name: a folder; None takes `SHOAL_ENV`, else the current folder.
        create: make the folder an environment when it is none yet.

    Raises:
        EnvironmentMissing: it is none, and is not to be made.
        StoreError: its store can't be used.
    """
    return Client(open_environment(str(name) if name is not None else None, create=create))


def _with_options(spec: JobSpec, options: dict[str, Any]) -> JobSpec:
    fields = {name: getattr(spec, name) for name in spec.__struct_fields__}
    return spec_from_dict({**fields, **options})


def new_job_id(prefix: str) -> str:
    """A job id nobody has used: for commands submitted without a name."""
    return check_job_id(f"{prefix}-{os.urandom(4).hex()}")
