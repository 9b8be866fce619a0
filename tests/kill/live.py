"""A local environment worked on by real processes, each of them marked so that it can be found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

import shoal
from shoal.local.layout import Layout

MARK = "KILL_TEST_MARK"
PATIENCE_S = 90.0
"""How long to wait for something that must come, on a machine however busy."""


class LiveEnvironment:
    """An environment in a folder of the test's own, with nobody working on it yet.

    Args:
        root: an empty folder; the environment is made in it.
        settings: of the processes started here, by their names.
    """

    def __init__(self, root: Path, **settings: object) -> None:
        self.layout = Layout(root / "environment")
        self.ledger = root / "ledger"
        self.ledger.mkdir()
        self.mark = uuid.uuid4().hex
        kept = {name: text for name, text in os.environ.items() if not name.startswith("SHOAL_")}
        chosen = {f"SHOAL_{name.upper()}": str(value) for name, value in settings.items()}
        self._variables = {**kept, **chosen, MARK: self.mark, "LEDGER": str(self.ledger)}
        self._output = (root / "output").open("ab")
        self._children: list[subprocess.Popen[bytes]] = []
        self.client = shoal.connect(self.layout.root)

    def start_supervisor(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `shoal up` in a process of its own."""
        return self._start("shoal.cli.main", "up", str(self.layout.root), *arguments)

    def start_worker(self, name: str) -> subprocess.Popen[bytes]:
        """Start one worker, as a fleet does."""
        return self._start("shoal.cli.worker", str(self.layout.root), name)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `shoal` command to its end."""
        command = [sys.executable, "-P", "-m", "shoal.cli.main", *arguments]
        return subprocess.run(
            command, env=self._variables, capture_output=True, text=True, check=False
        )

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def processes(self, **variables: str) -> list[psutil.Process]:
        """What runs of all that was started here, and has these variables in its environment."""
        wanted = {MARK: self.mark, **variables}
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if wanted.items() <= process.environ().items():
                    found.append(process)
            except (psutil.Error, OSError):
                continue  # gone meanwhile, or not ours
        return found

    def workers(self) -> list[psutil.Process]:
        """The workers' own processes, the ones that still start up included."""
        return [process for process in self.processes() if _is_worker(process)]

    def submit(self, job_id: str, script: str, **keys: Any) -> None:
        self.client.submit({"job_id": job_id, "commands": [script], **keys})

    def close(self) -> None:
        """End all that was started here."""
        for child in self._children:
            child.kill()
            child.wait()
        while left := self.processes():
            for process in left:
                try:
                    process.kill()
                except psutil.Error:
                    continue
            time.sleep(0.01)
        self._output.close()
        self.client.close()


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "shoal.cli.worker" in process.cmdline()
    except psutil.Error:
        return False


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition that must come true."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, f"waited {PATIENCE_S:g} s for: {what}"
        time.sleep(0.01)
