"""`shoal up` as a process of its own, as a user starts it; and the end of all it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from shoal.local.fleet import LocalFleet
from shoal.settings import NAMES, PREFIX

PATIENCE_S = 10.0
"""How long running jobs may take to finish before they are ended by force; they are short."""


class Supervision:
    """A running `shoal up`.

    Args:
        folder: the environment.
        log: where its messages go.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        with log.open("ab") as messages:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "shoal.cli.main", "up", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=messages,
                stderr=messages,
                env=_variables(),
                # Ctrl-C is for the demo, which then ends this one in good order.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def leave(self) -> int | None:
        """Ask it to end as Ctrl-C does, which makes the workers finish and leave too.

        Returns:
            Its exit code; None when it did not end in time.
        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            return None

    def end_all(self, fleet: LocalFleet) -> None:
        """End it and its workers, by force if need be."""
        if self.leave() is None:
            self._process.kill()
            self._process.wait()
        workers = fleet.workers()
        fleet.signal(signal.SIGKILL)
        for worker in workers:
            give_up_at = time.monotonic() + PATIENCE_S
            while not fleet.reclaim(worker.worker) and time.monotonic() < give_up_at:
                time.sleep(0.05)


def _variables() -> dict[str, str]:
    """The user's environment variables, without settings: the demo's own are to hold."""
    settings = {PREFIX + name.upper() for name in NAMES}
    variables = {name: value for name, value in os.environ.items() if name not in settings}
    # The example asks for `python3`, which need not be on the PATH for Shoal to run.
    variables["PATH"] = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))
    return variables
