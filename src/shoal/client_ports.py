"""What a client needs of an environment: its store, and a few small ports beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from shoal.core.intake import IntakeRules
from shoal.core.job import Attempt, Job, Token
from shoal.core.spec import JobSpec
from shoal.ports import Beat, JobStore, Submission, Worker

Plan = Callable[[str], JobSpec]
"""The job that the executable at a key stands for. Raises SpecError."""

WaitForChange = Callable[[float | None], object]
"""Returns when something may have changed, or after so many seconds at the latest."""


class Content(NamedTuple):
    """A file to be: its path in a job folder, and where its content lies on this machine."""

    relative: str
    path: Path


class Reading(NamedTuple):
    """An object that is open for reading. Close it when done.

    Args:
        size_bytes: of it.
        read: returns at most so many of its next bytes; none at its end.
        close: lets go of it.
    """

    size_bytes: int
    read: Callable[[int], bytes]
    close: Callable[[], object]


class Folders(Protocol):
    """Job folders on their way into the bucket, and results on their way out of it."""

    def bring(self, paths: Sequence[str], plan: Plan) -> Iterator[list[Submission]]:
        """Bring job folders into the bucket, where they start nothing by themselves.

        Args:
            paths: of folders on this machine, or of what the bucket holds already.
            plan: the job of an executable.

        Yields:
            What is to be submitted, now that all that it needs is there.

        Raises:
            BucketError: one has nothing to run in it, or can't be taken.
            SpecError: a job of it makes no sense; nothing of its folder was brought.
        """
        ...

    def fetch(self, jobs: Sequence[Job], destination: Path) -> Iterator[Path]:
        """Copy the results of jobs to a folder, each under its key; yields where each is now.

        Raises:
            BucketError: a result is gone, or would leave the destination.
        """
        ...

    def results(self, job: Job) -> list[str]:
        """The keys of a job's results, in order."""
        ...

    def read(self, job: Job, key: str) -> Reading:
        """Open one result of a job.

        Raises:
            BucketError: it is none of its results, or is gone.
        """
        ...

    def check(self) -> None:
        """Raise BucketError when there is no bucket for job folders."""
        ...

    def files(self, folder: str) -> list[str]:
        """The files of a job folder in the bucket, by their paths in it; links are among them.

        Raises:
            BucketError: there is no such folder.
        """
        ...

    def copies(self, folder: str, files: Sequence[str], scratch: Path) -> list[Path]:
        """The content of files of a job folder on this machine, in the same order.

        Args:
            folder: its key.
            files: as `files` has named them.
            scratch: an empty folder, used where they lie on no disk of this machine.

        Raises:
            BucketError: one is gone, or a link that leaves the folder.
        """
        ...

    def put(self, folder: str, files: Sequence[Content], mark: str, beat: Beat) -> None:
        """Bring files into a job folder of the bucket, over what has their names, in order.

        None of them starts a job by itself. When it returns they survive a power cut. It may be
        done again, after it was cut off anywhere.

        Args:
            folder: its key; it is made when it is missing.
            files: what to bring, the executable last.
            mark: a name for what is not complete yet; the same when it is done again.
            beat: called before each.

        Raises:
            BucketError: one can't have that name here.
        """
        ...


class Log(Protocol):
    """The output of one attempt, read from its beginning on. Close it when done."""

    @property
    def location(self) -> str:
        """Where it is, for people."""
        ...

    def leave_out(self, all_but_bytes: int) -> bool:
        """Skip what there is but for its end, where that can be done without reading it.

        Args:
            all_but_bytes: how much of the end to keep.

        Returns:
            Whether something was left out.
        """
        ...

    def read(self, *, over: bool) -> Iterator[bytes]:
        """What has come since the last call.

        Args:
            over: whether the attempt is over; then this is all the rest.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Logs(Protocol):
    """The output of attempts."""

    @property
    def look_every_s(self) -> float:
        """How long who follows one is to wait between two reads."""
        ...

    def find(self, job: Job, token: Token, ended: Attempt | None) -> Log | None:
        """The output of an attempt; None when it has not written any.

        Args:
            job: as read from the store.
            token: names the attempt.
            ended: its record; None for one that is under way.
        """
        ...


class Notes(Protocol):
    """Small facts kept beside the jobs, by topic and key."""

    def read(self, topic: str) -> dict[str, str]:
        """All of a topic."""
        ...

    def write(self, topic: str, key: str, value: str | None) -> None:
        """Keep a fact, or with None forget it; when this returns that survives a power cut."""
        ...

    def write_once(self, topic: str, key: str, value: str) -> str:
        """Keep a fact unless one is kept already; returns the one that is."""
        ...

    def hold(self, topic: str) -> AbstractContextManager[Beat]:
        """Be the only one, on whatever machine, to work on a topic.

        Yields:
            A beat, to be called often. Raises EnvironmentBusy when somebody else holds it now.

        Raises:
            EnvironmentBusy: somebody else holds it.
        """
        ...


class Account(NamedTuple):
    """Runs that were submitted, and where they are now."""

    submitted: int
    successful: int
    failed: int
    cancelled: int
    queued: int
    started: int

    @property
    def missing(self) -> int:
        """Runs that are nowhere; below zero: runs that are in two places."""
        return self.submitted - sum(self[1:])


class Finding(NamedTuple):
    """Something that is not as it should be.

    Args:
        code: `damaged`, `lost`, `doubled`, `orphaned`, `waiting`, `held` or `leftover`.
        what: the facts.
        remedy: what helps, when `fix` doesn't.
        fix: puts it right; None when a person must.
    """

    code: str
    what: str
    remedy: str
    fix: Callable[[], object] | None = None


class Doctor(Protocol):
    """Examines an environment whose store can be opened."""

    def account(self) -> Account:
        """Count runs, from the jobs on one side and from the settlements on the other."""
        ...

    def examine(self) -> Iterator[Finding]:
        """All findings, the gravest first."""
        ...


class Configuration(NamedTuple):
    """What is set for an environment.

    Args:
        environment: what opens it.
        file: the settings file; None where there is none.
        settings: value and source of each, by name.
    """

    environment: str
    file: str | None
    settings: dict[str, tuple[object, str]]


class Environment(Protocol):
    """A place where jobs are submitted and run."""

    @property
    def name(self) -> str:
        """What opens it again."""
        ...

    @property
    def intake_rules(self) -> IntakeRules:
        """What it asks of, and gives to, the jobs that come as folders."""
        ...

    @property
    def store(self) -> JobStore:
        """Its queue and table."""
        ...

    @property
    def folders(self) -> Folders:
        """The way into its bucket and out again."""
        ...

    @property
    def logs(self) -> Logs:
        """What attempts have printed."""
        ...

    @property
    def notes(self) -> Notes:
        """Small facts beside the jobs."""
        ...

    @property
    def lag_s(self) -> float:
        """How far its lists and counts may be behind, in seconds; a job by its id never is."""
        ...

    def workers(self) -> list[Worker]:
        """The workers that are alive."""
        ...

    def is_supervised(self) -> bool:
        """Whether somebody starts workers when there are jobs."""
        ...

    def changes(self) -> AbstractContextManager[WaitForChange]:
        """A function that waits until something may have changed."""
        ...

    def doctor(self) -> Doctor:
        """The audit."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...
