"""An environment whose jobs are just where a test wants them, and its dashboard on a real port."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shoal.core.confirm import Outcome
from shoal.core.job import Job
from shoal.core.spec import spec_from_dict
from shoal.environment import open_local
from shoal.ports import Submission
from shoal.web.address import listen, new_token
from shoal.web.server import make_server

LEASE_S = 60.0
PATIENCE_S = 30.0


class Place:
    """A folder as an environment, and the one worker in it: the test.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.opened = open_local(str(root), create=True, synced=False)
        self.store = self.opened.store
        self._deliveries = 0

    def submit(self, *job_ids: str, **fields: Any) -> None:
        """Submit jobs."""
        fields.setdefault("commands", ["true"])
        specs = [spec_from_dict({"job_id": job_id, **fields}) for job_id in job_ids]
        self._deliveries += 1
        now = time.time()
        self.store.submit([Submission(of, f"d{self._deliveries}") for of in specs], now)

    def start(self, job_id: str, **fields: Any) -> Job:
        """Submit a job before all others, and claim it."""
        self.submit(job_id, priority=1000, **fields)
        job = self.store.claim("w-test", time.time(), LEASE_S)
        assert job is not None
        assert job.job_id == job_id
        return job

    def end(self, job: Job, reason: str = "", exit_code: int = 0) -> Job:
        """Let an attempt end; with a reason it has failed."""
        outcome = Outcome(not reason, reason or "confirmed", exit_code)
        self.store.settle(job, outcome, time.time(), 0.0, None)
        return self.store.job(job.job_id)

    def say(self, job: Job, output: bytes) -> None:
        """Add to the output of an attempt."""
        path = self.opened.layout.log_path(job.job_id, job.token)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as log:
            log.write(output)

    def result(self, job: Job, name: str, content: bytes) -> str:
        """Leave a result in the job's folder; returns its key."""
        key = f"{job.spec.folder}/{name}"
        path = os.fsencode(self.root / key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        self.store.record_results(job, {key: "v"})
        return key


class Dashboard:
    """The dashboard of an environment.

    Args:
        name: of the environment.
    """

    def __init__(self, name: str) -> None:
        listening = listen(0)
        self.token = new_token()
        self.port: int = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        ready = threading.Event()
        self._server = make_server(name, listening, self.token, ready.set)
        self._thread = threading.Thread(target=self._server.run, args=([listening],))
        self._thread.start()
        assert ready.wait(PATIENCE_S)

    def stranger(self, **options: Any) -> httpx.Client:
        """Somebody who has no cookie."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE_S, **options)

    def close(self) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join()


class Visitor:
    """Somebody who came by the printed URL.

    Args:
        http: of a stranger to the dashboard.
        dashboard: that they visit.
    """

    def __init__(self, http: httpx.Client, dashboard: Dashboard) -> None:
        self.http = http
        self.dashboard = dashboard
        self.get = http.get
        came = http.get("/", params={"token": dashboard.token})
        assert came.status_code == 303

    def page(self, path: str, code: int = 200, **parameters: str) -> str:
        """The text of a page."""
        answer = self.get(path, params=parameters or None)
        assert answer.status_code == code, answer.text
        return answer.text

    def job(self, job_id: str) -> str:
        """The page of a job."""
        return self.page("/job", id=job_id)

    def form_key(self) -> str:
        """What our forms hold."""
        _, _, rest = self.page("/").partition('name="form_key" value="')
        key, _, _ = rest.partition('"')
        assert key
        return key

    def press(self, path: str, **fields: str) -> httpx.Response:
        """Send a form as its page would; returns the page that follows."""
        data = {"form_key": self.form_key(), **fields}
        answer = self.http.post(path, data=data, headers={"Origin": self.dashboard.url})
        assert answer.status_code == 303, answer.text
        return self.get(answer.headers["Location"])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An environment without jobs."""
    made = Place(tmp_path / "jobs")
    yield made
    made.opened.close()


@pytest.fixture
def dashboard(place: Place) -> Iterator[Dashboard]:
    """The dashboard of the place."""
    made = Dashboard(str(place.root))
    yield made
    made.close()


@pytest.fixture
def visitor(dashboard: Dashboard) -> Iterator[Visitor]:
    """Somebody who was let in."""
    with dashboard.stranger() as http:
        yield Visitor(http, dashboard)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Waits for what must come."""

    def wait(is_there: Callable[[], bool]) -> None:
        give_up_at = time.monotonic() + PATIENCE_S
        while not is_there():
            assert time.monotonic() < give_up_at
            time.sleep(0.02)

    return wait
