"""A user at a shell: types `shoal ...` in an environment's folder and reads what comes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

import shoal
from shoal.client import Client

SHOAL = str(Path(sys.executable).with_name("shoal"))
MARK = "CLI_TEST_MARK"
PATIENCE_S = 60.0
"""How long to wait for something that must come, on a machine however busy."""


class Said(NamedTuple):
    """What a command said, and its exit code."""

    out: str
    err: str
    code: int


class Shell:
    """A user's shell, in the folder `jobs`, which nobody has made an environment yet.

    Args:
        root: where that folder is.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / "jobs"
        self.folder.mkdir(exist_ok=True)
        mark = uuid.uuid4().hex
        kept = {name: text for name, text in os.environ.items() if not name.startswith("SHOAL_")}
        # Quick to end and quick to try again; everything else as a user has it.
        quick = {"SHOAL_LINGER_S": "0.1", "SHOAL_BACKOFF_BASE_S": "0.01"}
        self.variables = {**kept, **quick, MARK: mark, "TERM": "xterm-256color"}
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
            self.variables.pop(name, None)
        self._mark = mark
        self._started: list[subprocess.Popen[str]] = []

    def type(
        self,
        *words: str,
        code: int = 0,
        stdin: str = "",
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Said:
        """Run `shoal` with these words to its end, which must be with this exit code."""
        ended = subprocess.run(
            [SHOAL, *words],
            input=stdin,
            cwd=cwd or self.folder,
            env={**self.variables, **(variables or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        said = Said(ended.stdout, ended.stderr, ended.returncode)
        assert said.code == code, f"shoal {' '.join(words)}: {said}"
        return said

    def type_for_json(self, *words: str, code: int = 0, stdin: str = "") -> Any:
        """Run `shoal` with these words and --json; return what it printed."""
        return json.loads(self.type(*words, "--json", code=code, stdin=stdin).out)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `shoal` with these words, and go on."""
        child = subprocess.Popen(
            [SHOAL, *words],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(child)
        return child

    def up(self, *words: str) -> subprocess.Popen[str]:
        """Start `shoal up` and wait until it watches."""
        child = self.start("up", *words)
        wait_until(self.is_supervised, "'shoal up' to watch")
        return child

    def run_all(self, *words: str) -> Said:
        """Run all jobs to their ends."""
        return self.type("up", "--until-idle", "--max-workers", "2", *words)

    def see_on_terminal(self, *words: str, code: int = 0) -> str:
        """Run `shoal` with these words on a terminal 100 columns wide; return all it wrote."""
        ours, its = pty.openpty()
        os.set_blocking(ours, True)
        child = subprocess.Popen(
            [SHOAL, *words],
            cwd=self.folder,
            env=self.variables | {"COLUMNS": "100", "LINES": "40"},
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
        os.close(its)
        pieces = []
        try:
            while piece := os.read(ours, 65_536):
                pieces.append(piece)
        except OSError:
            pass  # how Linux tells that the other end is closed
        finally:
            os.close(ours)
        text = b"".join(pieces).decode()
        assert child.wait(PATIENCE_S) == code, text
        return text

    def client(self) -> Client:
        """The environment, to look into it."""
        return shoal.connect(self.folder, create=False)

    def is_supervised(self) -> bool:
        """Whether a supervisor watches the folder."""
        if not (self.folder / ".shoal" / "shoal.db").exists():
            return False
        with self.client() as client:
            return client.is_supervised()

    def statuses(self) -> dict[str, str]:
        """The status of each job."""
        with self.client() as client:
            return {job.job_id: job.status.value for job in client.jobs()}

    def submit(self, job_id: str, script: str = "true", **keys: Any) -> None:
        """Submit a command without typing, which is quicker: for tests of other verbs."""
        with shoal.connect(self.folder) as client:
            client.submit({"job_id": job_id, "commands": [script], **keys})

    def wait(self) -> None:
        """Wait for all jobs without typing."""
        with self.client() as client:
            progress = client.wait(timeout_s=PATIENCE_S)
        assert progress.over == progress.total

    def job_folder(self, name: str, script: str, **inputs: str) -> Path:
        """Put a job folder into the environment, its executable `run.sh` last and whole."""
        folder = self.folder / name
        write_job_folder(folder, script, **inputs)
        return folder

    def processes(self) -> list[psutil.Process]:
        """All that runs of what this user has started, directly or not."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if process.environ().get(MARK) == self._mark:
                    found.append(process)
            except (psutil.Error, OSError):
                continue  # gone meanwhile, or not ours
        return found

    def close(self) -> None:
        """End all that was started here."""
        for child in self._started:
            child.kill()
            child.communicate()
        while left := self.processes():
            for process in left:
                try:
                    process.kill()
                except psutil.Error:
                    continue
            time.sleep(0.01)


def write_job_folder(folder: Path, script: str, **inputs: str) -> None:
    """Write a job folder anywhere; an input's name is written with _ for the dot."""
    folder.mkdir(parents=True)
    for name, text in inputs.items():
        (folder / name.replace("_", ".")).write_text(text)
    part = folder / "run.part"
    part.write_text(script)
    part.chmod(0o755)
    part.rename(folder / "run.sh")


def until(path: Path) -> str:
    """A script that runs until a file is there."""
    return f"until test -e '{path}'; do sleep 0.01; done"


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that many tests look at, filled once, though the tests run in several processes."""
    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = root / name
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / f"{name}.made").exists():
            shutil.rmtree(folder, ignore_errors=True)  # what a try that failed has left
            folder.mkdir()
            make(folder)
            (root / f"{name}.made").touch()
    return folder


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition that must come true."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, f"waited {PATIENCE_S:g} s for: {what}"
        time.sleep(0.01)
