"""Passes on what is Successful, each run once, whatever crashes.

A cursor over the stream of settlements, kept beside the source's jobs, says how far they were
passed on. For each run: copy the files, the executable last; submit, under a delivery id that is
derived from the run; then move the cursor. Whatever a crash cuts off is done again from the cursor
on. A run whose delivery the next store remembers is not touched again, so each is accepted once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from shoal.client_ports import Content, Environment
from shoal.core.backoff import backoff_s
from shoal.core.errors import (
    BucketError,
    EnvironmentBusy,
    JobNotFound,
    SettingsError,
    ShoalError,
    SpecError,
)
from shoal.core.glob import matcher
from shoal.core.intake import is_executable, plan_job
from shoal.core.job import Job
from shoal.core.spec import JobSpec, storable, stored_spec
from shoal.environment import open_environment
from shoal.job_folder import problem_with
from shoal.pipeline.ledger import (
    TOPIC,
    Ledger,
    Run,
    cursor_in,
    id_of,
    note_target,
    note_trouble,
    runs_of,
)
from shoal.pipeline.route import Route, check_way
from shoal.ports import Beat, Submission

GROUP = 20
"""Runs that are submitted together: a write to disk here and there is for all of them, and a crash
has at most so many copied again."""

MARK = "next-"
"""Begins the delivery ids of what was passed on."""

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Between two tries of what could not be passed on."""

_TROUBLES = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
)
"""What an OSError says of the machine; others are about one job's files."""


class Pipeline:
    """The way from one environment to the next.

    Args:
        source: whose jobs are passed on; for the use of this object alone.
        route: where to.
        report: told what was done, and what can't be, a line each.
    """

    def __init__(self, source: Environment, route: Route, report: Callable[[str], object]) -> None:
        self._source = source
        self._route = route
        self._report = report
        self._matchers = [(glob, matcher(glob)) for glob in route.files]
        self._source_id = ""
        self._ledger: Ledger | None = None  # as it was when the next environment was open last
        self._tries: dict[int, int] = {}
        self._due: dict[int, float] = {}
        self._trouble: str | None = ""  # not known yet: an earlier process may have left one
        self._troubles = 0
        self._is_over: Callable[[], bool] = lambda: False

    def check(self) -> None:
        """Find out at once what would keep every job from being passed on.

        A folder that is no environment yet becomes one.

        Raises:
            ShoalError: the executable or the next environment is missing, or leads back here.
        """
        self._check_executable()
        check_way(self._source.name, self._route.environment)
        with self._open(create=True) as target:
            check_way(self._source.name, target.name)
            target.folders.check()
            self._read_ledger(target)

    # --- run --------------------------------------------------------------------------------

    def pass_on(self, now: float | None = None) -> int:
        """Pass on what has settled since the last time, and what is held and due again.

        Args:
            now: the time; None tries all that is held.

        Returns:
            How many runs are jobs in the next environment now that were not before.

        Raises:
            EnvironmentBusy: somebody else is at it.
            ShoalError, OSError: nothing can be passed on as things are. Nothing is lost.
        """
        settled = self._source.store.settlements
        last = self._ledger
        if last is not None and not self._due_of(last, now) and not settled(last.cursor, 1):
            return 0
        passed = 0
        with (
            self._open() as target,
            self._source.notes.hold(f"{TOPIC} {id_of(target)}") as beat,
        ):
            self._check_executable()
            ledger = self._read_ledger(target)
            due = self._due_of(ledger, now)
            try:
                while group := settled(ledger.cursor, GROUP):
                    passed += self._pass_group(target, ledger, runs_of(group), beat)
                    ledger.move(group[-1].cursor)
                for start in range(0, len(due), GROUP):
                    again = (ledger.held.get(cursor) for cursor in due[start : start + GROUP])
                    passed += self._pass_group(target, ledger, [*filter(None, again)], beat)
            finally:
                if passed:
                    self._report(f"{passed} job{'s' * (passed != 1)} passed on to {target.name}")
        self._tell(None)
        return passed

    def follow(
        self, is_over: Callable[[], bool] = lambda: False, moved: Callable[[], object] = int
    ) -> None:
        """Pass on as jobs settle; trouble is reported, and waited out.

        Args:
            is_over: asked before each run whether to return.
            moved: called when there may be less left to pass on.
        """
        self._is_over = is_over
        with self._source.changes() as wait_for_change:
            while not is_over():
                before = self._ledger
                try:
                    wait_s = self._try(time.time())
                except _Leaving:
                    return
                if self._ledger is not before:
                    moved()
                wait_for_change(wait_s)

    def is_done(self, source: Environment) -> bool:
        """Whether every run that ended was passed on, or is held with a reason.

        Args:
            source: the source once more, opened by the thread that asks.
        """
        ledger = self._ledger
        if ledger is None:
            return False
        cursor = cursor_in(source.notes.read(TOPIC), ledger.target_id)
        return not source.store.settlements(cursor, 1)

    def _try(self, now: float) -> float | None:
        """One look; how long to wait before the next at most, in seconds."""
        try:
            self.pass_on(now)
        except EnvironmentBusy:
            return FIRST_WAIT_S  # somebody else passes on
        except (ShoalError, OSError) as trouble:
            self._troubles += 1
            self._tell(str(trouble))
            return backoff_s(self._troubles, FIRST_WAIT_S, LONGEST_WAIT_S, 0.0)
        self._troubles = 0
        return max(0.0, min(self._due.values()) - time.time()) if self._due else None

    def _tell(self, trouble: str | None) -> None:
        """Say once what is in the way of all, and keep it for who asks the doctor."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble is not None:
            self._report(f"can't pass on to {self._route.environment}: {trouble}; trying again")
        try:
            note_trouble(self._source.notes, self._route.environment, trouble)
        except (ShoalError, OSError):
            self._trouble = ""  # told again, when it can be kept

    # --- one group --------------------------------------------------------------------------

    def _pass_group(
        self, target: Environment, ledger: Ledger, runs: Sequence[Run], beat: Beat
    ) -> int:
        """Copy the folders of runs, and submit them; those that can't be are held.

        What was copied before trouble came is submitted, so that it need not be copied again.
        """
        submissions: list[Submission] = []
        done: list[Run] = []
        accepted = 0
        try:
            for run in runs:
                if self._is_over():
                    raise _Leaving
                beat()
                try:
                    submission = self._bring(target, run, beat)
                except (ShoalError, OSError) as problem:
                    if not _is_of_one_job(problem):
                        raise
                    self._hold(ledger, run, str(problem))
                else:
                    done.append(run)
                    if submission is not None:
                        submissions.append(submission)
        finally:
            if submissions:
                accepted = target.store.submit(submissions, time.time()).accepted
            for run in done:
                ledger.release(run)
                self._tries.pop(run.cursor, None)
                self._due.pop(run.cursor, None)
        return accepted

    def _bring(self, target: Environment, run: Run, beat: Beat) -> Submission | None:
        """Bring a run's files over; None when there is nothing to do for it any more."""
        spec = stored_spec(run.job)
        if spec.folder is None:
            return None
        name = self._route.executable.name
        planned = plan_job(f"{spec.folder}/{name}", target.intake_rules)
        planned = msgspec.structs.replace(planned, batch=spec.batch or planned.batch)
        delivery = self._delivery(run)
        try:
            there = target.store.job(planned.job_id)
        except JobNotFound:
            pass
        else:
            if delivery in there.deliveries:
                return None
            self._refuse_clash(there)
        wanted = self._wanted(spec)
        with tempfile.TemporaryDirectory(prefix="shoal-") as scratch:
            paths = self._source.folders.copies(spec.folder, wanted, Path(scratch))
            files = [*map(Content, wanted, paths), Content(name, self._executable())]
            target.folders.put(spec.folder, files, delivery, beat)
        return Submission(planned, delivery)

    def _wanted(self, spec: JobSpec) -> list[str]:
        """The files of a job folder that are passed on."""
        assert spec.folder is not None
        suffixes = self._source.intake_rules.trigger_suffixes
        left_out = (spec.executable, self._route.executable.name)

        def is_wanted(relative: str) -> bool:
            starts = is_executable(relative, self._source.intake_rules)
            return relative not in left_out and any(
                matches(relative) and (not starts or glob.endswith(suffixes))
                for glob, matches in self._matchers
            )

        if found := [*filter(is_wanted, self._source.folders.files(spec.folder))]:
            return found
        raise BucketError(
            f"no file of folder {spec.folder!a} matches {' or '.join(self._route.files)}",
            "mend [next], or put a file there",
        )

    def _delivery(self, run: Run) -> str:
        """Names the passing on of a run, whoever does it and however often."""
        text = f"{self._own_id()} {run.run} {run.job_id}"
        return self._own_mark() + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _own_mark(self) -> str:
        """What the names of all that is passed on from here begin with."""
        return f"{MARK}{self._own_id()[:12]}-"

    def _own_id(self) -> str:
        self._source_id = self._source_id or id_of(self._source)
        return self._source_id

    def _refuse_clash(self, there: Job) -> None:
        """See that no job which waits or runs is replaced by one of another environment."""
        came = there.delivery_id
        if there.status.is_final or not came.startswith(MARK) or came.startswith(self._own_mark()):
            return
        raise BucketError(
            f"job {there.job_id!a} came there from another environment, and is not over",
            "wait for it; give job folders names that differ where several lead to one",
        )

    def _hold(self, ledger: Ledger, run: Run, reason: str) -> None:
        tries = self._tries[run.cursor] = self._tries.get(run.cursor, 0) + 1
        self._due[run.cursor] = time.time() + backoff_s(tries, FIRST_WAIT_S, LONGEST_WAIT_S, 0.0)
        held = msgspec.structs.replace(
            run, target=storable(self._route.environment), reason=storable(reason)
        )
        if ledger.hold(held):
            self._report(f"not passed on: job {run.job_id!r}, run {run.run}: {reason}")

    # --- pieces -----------------------------------------------------------------------------

    @contextmanager
    def _open(self, *, create: bool = False) -> Iterator[Environment]:
        """The next environment, opened each time: what is there now is what counts."""
        with closing(open_environment(self._route.environment, create=create)) as target:
            yield target

    def _read_ledger(self, target: Environment) -> Ledger:
        """How far it is; another process may have been at it."""
        target_id = id_of(target)
        note_target(self._source.notes, self._route.environment, target_id)
        self._ledger = Ledger(self._source.notes, target_id)
        for cursor in self._due.keys() - self._ledger.held.keys():
            del self._due[cursor]
        return self._ledger

    def _due_of(self, ledger: Ledger, now: float | None) -> list[int]:
        return [of for of in ledger.held if now is None or self._due.get(of, 0.0) <= now]

    def _executable(self) -> Path:
        """Where the executable's content lies: it may be named by a link."""
        return Path(os.path.realpath(self._route.executable))

    def _check_executable(self) -> None:
        path = self._executable()
        problem = problem_with(str(path)) if path.exists() else "is not there"
        if problem:
            raise SettingsError(
                f"the next executable {self._route.executable} {problem}",
                "put it there, or mend [next]",
            )
        plan_job(f"folder/{self._route.executable.name}", self._source.intake_rules)


class _Leaving(Exception):
    """Somebody wants this process to end."""


def _is_of_one_job(problem: ShoalError | OSError) -> bool:
    """Whether others may be passed on although this one can't be."""
    if isinstance(problem, OSError):
        return problem.errno not in _TROUBLES
    return isinstance(problem, BucketError | SpecError) or problem.code == "aws_refused"
