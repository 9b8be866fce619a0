"""A worker that is stopped while it stages out: what it does when it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import shoal
from shoal.core.job import Status

RESULTS = 60
DEADLINE_S = 90.0


def wait_until(condition: object) -> None:
    give_up_at = time.monotonic() + DEADLINE_S
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < give_up_at, "it did not come"
        time.sleep(0.002)


def test_a_late_worker_overwrites_nothing_and_starts_nothing(tmp_path: Path) -> None:
    """A worker frozen in the middle of staging out has lost its job when it thaws: it moves no
    file more over those of the attempt that came after, and no result ever starts a job."""
    root = tmp_path / "jobs"
    folder = root / "job"
    folder.mkdir(parents=True)
    lines = [f"echo $SHOAL_ATTEMPT > out{n:02}.sh" for n in range(RESULTS)]
    (folder / "run.sh").write_text("\n".join(lines))
    variables = {
        **os.environ,
        "SHOAL_LEASE_S": "1",
        "SHOAL_LINGER_S": "0",
        "SHOAL_BACKOFF_BASE_S": "0",
        "SHOAL_UPLOAD_QUIET_S": "0.05",
    }
    with shoal.connect(root) as client:
        client.submit_folder(folder)
        command = [sys.executable, "-P", "-m", "shoal.cli.worker", str(root)]
        late = subprocess.Popen([*command, f"w-{uuid.uuid4().hex[:8]}"], env=variables)
        try:
            wait_until((folder / "out02.sh").exists)
            late.send_signal(signal.SIGSTOP)
            before = len(list(folder.glob("out*.sh")))
            up = [sys.executable, "-P", "-m", "shoal.cli.main", "up", str(root), "--max-workers"]
            with subprocess.Popen([*up, "3"], env=variables) as supervisor:
                try:
                    wait_until(lambda: client.job("job/run.sh").status == Status.SUCCESSFUL)
                    late.send_signal(signal.SIGCONT)
                    assert late.wait(DEADLINE_S) == 0
                    wait_until(lambda: not client.workers())
                finally:
                    supervisor.send_signal(signal.SIGTERM)
        finally:
            late.kill()
            late.wait()
        assert before < RESULTS, "it was not stopped in the middle"
        written = {path.read_text().strip() for path in folder.glob("out*.sh")}
        late_ones = [p for p in folder.glob("out*.sh") if p.read_text().strip() == "1"]
        assert "2" in written
        assert len(late_ones) <= 1, "a file that was on its way when it was stopped, at the most"
        assert [job.job_id for job in client.jobs()] == ["job/run.sh"]
        assert len(list(client.settlements())) == 1
