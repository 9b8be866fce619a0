"""Shoal: batch jobs on a fleet without a head node. `shoal.connect(...)` is the way in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.client import Client, connect
    from shoal.core.errors import ShoalError
    from shoal.core.job import Job, Status
    from shoal.core.spec import JobSpec

__version__ = "0.1.0"
__all__ = ["Client", "Job", "JobSpec", "ShoalError", "Status", "__version__", "connect"]

_HOMES = {
    "Client": "shoal.client",
    "connect": "shoal.client",
    "Job": "shoal.core.job",
    "Status": "shoal.core.job",
    "JobSpec": "shoal.core.spec",
    "ShoalError": "shoal.core.errors",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that a worker starts without what only clients need."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'shoal' has no attribute {name!r}")
