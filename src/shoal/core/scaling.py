"""How many workers are wanted. Scaling only ever adds: workers retire themselves."""

from __future__ import annotations


def workers_wanted(queued: int, started: int, slots_per_worker: int, max_workers: int) -> int:
    """Workers that the work at hand can use: started as well as queued jobs, a slot each.

    Args:
        queued: jobs that could be claimed now.
        started: jobs under a lease.
        slots_per_worker: jobs that one worker runs at a time.
        max_workers: the most that are allowed.
    """
    return min(max_workers, -(-(queued + started) // slots_per_worker))


def workers_to_launch(wanted: int, alive: int) -> int:
    """How many to add to those alive (which includes the ones that still start up)."""
    return max(0, wanted - alive)
