"""What a client needs of an environment: its store, and a few small ports beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from shoal.core.intake import IntakeRules
from shoal.core.job import Attempt, Job, Token
from shoal.core.spec import JobSpec
from shoal.ports import JobStore, Submission, Worker

Plan = Callable[[str], JobSpec]
"""The job that the executable at a key stands for. Raises SpecError."""

WaitForChange = Callable[[float | None], object]
"""Returns when something may have changed, or after so many seconds at the latest."""


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


class Log(Protocol):
    """The output of one attempt, read from its beginning on. Close it when done."""

    @property
    def location(self) -> str:
        """Where it is, for people."""
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
        code: `damaged`, `lost`, `doubled`, `orphaned`, `waiting` or `leftover`.
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
