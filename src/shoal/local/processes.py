"""Process trees of attempts: found by the variables they inherit, ended without exception."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

KILL_ROUNDS = 10

WORKER_VARIABLE = "SHOAL_WORKER_ID"
"""Every process that an attempt starts inherits it, however it detaches itself."""

ENVIRONMENT_VARIABLE = "SHOAL_ENV"
"""So that what a job submits goes to the environment it runs in."""

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def adopt_orphans() -> None:
    """Make this process the parent of whatever its children leave behind, where the system can."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def has_children() -> bool:
    """Whether this process has children, of its own or adopted; reaps those that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def kill_group(group: int) -> None:
    """Kill a process group; that it is gone already is as good."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def find_started_by(worker: str) -> list[psutil.Process]:
    """The processes that carry a worker's name in their environment, but for the worker itself."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.status() != psutil.STATUS_ZOMBIE
                and process.environ().get(WORKER_VARIABLE) == worker
            ):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone, or somebody else's: then it is none of ours
    return found


def find_attempts_in(environment: str) -> dict[str, list[int]]:
    """The processes that attempts of an environment have started, by worker."""
    import psutil

    found: dict[str, list[int]] = {}
    for process in psutil.process_iter():
        try:
            variables = process.environ() if process.status() != psutil.STATUS_ZOMBIE else {}
        except (psutil.Error, OSError):
            continue
        if variables.get(ENVIRONMENT_VARIABLE) == environment and WORKER_VARIABLE in variables:
            found.setdefault(variables[WORKER_VARIABLE], []).append(process.pid)
    return found


def _runs(process: psutil.Process) -> bool:
    """Whether a process is neither gone nor a zombie, which its parent may not reap for long."""
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def kill_children() -> None:
    """Kill all that is below this process, whatever its environment says.

    Raises:
        OSError: something does not go even so (it hangs in the kernel).
    """
    import psutil

    this = psutil.Process()
    for _ in range(KILL_ROUNDS):
        found = this.children(recursive=True)
        if not found:
            return
        for process in found:
            try:
                process.kill()
            except psutil.Error:
                continue  # gone meanwhile
        psutil.wait_procs(found, timeout=1.0)
        has_children()
    raise OSError(f"processes can't be killed: {[process.pid for process in found]}")


def kill_started_by(worker: str) -> int:
    """Kill all that a worker's attempts have started, until nothing is left; returns how many.

    Raises:
        OSError: something does not go even so (it hangs in the kernel).
    """
    import psutil

    killed = 0
    for _ in range(KILL_ROUNDS):
        found = find_started_by(worker)
        if not found:
            return killed
        for process in found:
            try:
                process.kill()
            except psutil.Error:
                continue  # gone meanwhile
        killed += len(found)
        give_up_at = time.monotonic() + 1.0
        while any(map(_runs, found)) and time.monotonic() < give_up_at:
            time.sleep(0.001)
    raise OSError(f"processes of worker {worker} can't be killed: {[p.pid for p in found]}")
