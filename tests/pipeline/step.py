"""An environment that is a step of a pipeline, with its jobs' part played by the test."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import shoal
from shoal.client import Client
from shoal.client_ports import Finding
from shoal.core.confirm import Outcome
from shoal.core.job import Job
from shoal.environment import open_local
from shoal.local.bucket import version_of
from shoal.local.layout import Layout
from shoal.pipeline.ledger import findings, held_runs
from shoal.pipeline.passing import Pipeline
from shoal.pipeline.route import declared_route

PATIENCE_S = 60.0
"""How long to wait for what must come, on a machine however busy."""

CONFIRMED, FAILED = Outcome(True, "confirmed", 0), Outcome(False, "exit code 1", 1)

QUICK = "linger_s = 0.0\nbackoff_base_s = 0.0\nmax_workers = 2\nupload_quiet_s = 0.05\n"


class Step:
    """One environment.

    Args:
        root: its folder.
        new: make it, leading nowhere.
    """

    def __init__(self, root: Path, *, new: bool = True) -> None:
        self.root = root
        self.layout = Layout(root)
        self.said: list[str] = []
        if new:
            self.layout.create()
            self.lead(None)
            with self.client():
                pass

    def lead(self, to: Step | str | None, script: str = "true\n", more: str = "") -> None:
        """Declare where results go on, and what runs there as `next.sh`."""
        text = QUICK
        if to is not None:
            name = to if isinstance(to, str) else f"../{to.root.name}"
            text += f'[next]\nenvironment = "{name}"\nexecutable = "next.sh"\n{more}\n'
            (self.layout.own / "next.sh").write_text(script)
        self.layout.settings.write_text(text)

    def put(self, key: str, content: str = "x\n") -> Path:
        """A file of the bucket, complete when it appears."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(".new.part")
        part.write_text(content)
        return part.rename(path)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client, closed at the end."""
        with shoal.connect(self.root) as client:
            yield client

    def end(self, folder: str, *, outcome: Outcome = CONFIRMED, **options: Any) -> str:
        """Submit a job folder, and end its attempt as a worker does; returns the job id."""
        with self.client() as client:
            (job_id,) = client.submit_folder(self.root / folder, **options)
            self.end_next(client, outcome)
        return job_id

    def end_next(self, client: Client, outcome: Outcome = CONFIRMED) -> Job:
        """End an attempt of the next job."""
        store = client.environment.store
        job = store.claim("w-1", time.time(), 60.0)
        assert job is not None
        store.settle(job, outcome, time.time(), 0.0, None)
        return job

    @contextmanager
    def pipeline(self) -> Iterator[Pipeline]:
        """What passes on as declared; what it reports is in `said`."""
        route = declared_route(str(self.root))
        assert route is not None
        with closing(open_local(str(self.root))) as source:
            yield Pipeline(source, route, self.said.append)

    def pass_on(self) -> int:
        """Pass on what is to be, as `shoal relay` does."""
        with self.pipeline() as pipeline:
            return pipeline.pass_on()

    def runs(self) -> dict[str, int]:
        """How many runs each job has."""
        with self.client() as client:
            return {job.job_id: job.run for job in client.jobs()}

    def job(self, job_id: str) -> Job:
        with self.client() as client:
            return client.job(job_id)

    def findings(self) -> list[Finding]:
        """What the doctor finds, of the pipeline and of all else."""
        with closing(open_local(str(self.root))) as opened:
            return [*opened.doctor().examine(), *findings(opened)]

    def held(self) -> list[str]:
        """The jobs that could not be passed on."""
        with closing(open_local(str(self.root))) as opened:
            return [run.job_id for run in held_runs(opened)]

    def armed(self) -> list[str]:
        """The keys of files that would start a job if somebody watched."""
        with closing(open_local(str(self.root))) as opened:
            return [
                key
                for path in self.root.rglob("*.sh")
                if self.layout.own not in path.parents
                and not opened.store.starts_no_job(
                    key := path.relative_to(self.root).as_posix(), version_of(path.lstat())
                )
            ]

    def files(self, folder: str) -> dict[str, str]:
        """The files of a job folder, those included that are not complete."""
        root = self.root / folder
        return {
            str(path.relative_to(root)): path.read_text()
            for path in root.rglob("*")
            if path.is_file()
        }


def start(*arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
    """A `shoal` command in a process of its own."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("SHOAL_")}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "shoal.cli.main", *arguments],
        env={**kept, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
    """Run a `shoal` command to its end, which must be of a code; what it said and complained."""
    process = start(*arguments)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, err
    return out, err


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for something that must come to be."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come"
        time.sleep(0.01)
