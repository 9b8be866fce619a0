"""Starts other programs so that none outlives its time limit or writes outside its folder."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

# Many times what the slowest peer needs on two cores (about 10 s).
RUN_LIMIT_S = 180.0

# Settings of the person who runs the bench that would change what the peers do.
FOREIGN_PREFIXES = ("PYTHON", "PARALLEL", "TS_", "HQ_", "HUEY_", "PARSL_", "XDG_", "MAKE")


class Skipped(Exception):
    """A contestant can't be had or did not get to its end; the message says why."""


def child_environment(folder: Path) -> dict[str, str]:
    """Return an environment in which the home and the temporary files are in `folder`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN_PREFIXES)}
    return {**kept, "HOME": str(folder), "TMPDIR": str(folder)}


@contextlib.contextmanager
def end_after(limit_s: float, processes: Sequence[subprocess.Popen[str]]) -> Iterator[None]:
    """Kill the processes, each the leader of its group, past the limit or on any error.

    A timer, not `wait(timeout)`: that one looks only every 50 ms, which would blur the times.
    Raises `Skipped` when the limit was reached.
    """
    late = threading.Event()

    def end() -> None:
        for process in processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def end_late() -> None:
        late.set()
        end()

    timer = threading.Timer(limit_s, end_late)
    timer.daemon = True
    timer.start()
    try:
        yield
    except BaseException:
        end()
        raise
    finally:
        timer.cancel()
        for process in processes:
            process.wait()
        if late.is_set():
            raise Skipped(f"not finished within {limit_s:.0f} s")


def run_to_end(
    arguments: Sequence[str],
    folder: Path,
    *,
    environment: dict[str, str],
    input_: IO[str] | None = None,
    output: IO[str] | None = None,
    errors: IO[str] | None = None,
    limit_s: float = RUN_LIMIT_S,
) -> float:
    """Run a command in `folder` to its end; return the seconds it took, start-up included.

    Raises `Skipped` when the limit is reached. The exit code says nothing here: each peer's own
    record is asked what became of its jobs.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment,
        stdin=input_ or subprocess.DEVNULL,
        stdout=output or subprocess.DEVNULL,
        stderr=errors or subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    with end_after(limit_s, [process]):
        process.wait()
    return time.perf_counter() - started


def ask(arguments: Sequence[str], environment: dict[str, str], *, limit_s: float = 20.0) -> str:
    """Return what a short command prints, or nothing if it fails."""
    try:
        done = subprocess.run(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
