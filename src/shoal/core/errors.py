"""Errors that a person can act on: a code, the facts, and the remedy.

Every error Shoal raises on purpose is a `ShoalError`. Its text reads `what happened: what to do`.
"""

from __future__ import annotations


class ShoalError(Exception):
    """Base of all errors raised on purpose.

    Args:
        what: what happened, with the facts, as a sentence without a full stop.
        remedy: what the reader can do about it.
    """

    code = "error"

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what = what
        self.remedy = remedy


class SpecError(ShoalError):
    """A job spec that can't be accepted."""

    code = "bad_job"


class SettingsError(ShoalError):
    """A setting that is unknown, or has a value that makes no sense."""

    code = "bad_setting"


class NotAllowed(ShoalError):
    """The job's state has no transition for this event."""

    code = "not_allowed"


class StaleToken(ShoalError):
    """A report or renewal whose fencing token is no longer the job's. It changed nothing."""

    code = "stale_token"


class JobNotFound(ShoalError):
    """No job has this id."""

    code = "job_not_found"


class BucketError(ShoalError):
    """A path or key that Shoal refuses to read or write."""

    code = "refused_path"


class EnvironmentMissing(ShoalError):
    """The name does not lead to an environment."""

    code = "environment_missing"


class EnvironmentBusy(ShoalError):
    """Another process holds what this one needs alone."""

    code = "environment_busy"


class StoreError(ShoalError):
    """The job store can't be used as it is."""

    code = "store"


class StoreFull(StoreError):
    """No room is left to write a change. The change was not made."""

    code = "store_full"


class StoreBusy(StoreError):
    """The store stayed locked by others for longer than we wait. The change was not made."""

    code = "store_busy"


class StoreDamaged(StoreError):
    """The store's file is not what we wrote."""

    code = "store_damaged"


class StoreNewer(StoreError):
    """The store was written by a newer Shoal than this one."""

    code = "store_newer"
