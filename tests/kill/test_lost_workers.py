"""Workers that are killed, frozen, or told to stop in mid-job, and the processes of their jobs."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from shoal.core.job import Started, Status

from .audit import Table, read_consistent
from .conftest import MakeLive
from .live import LiveEnvironment, wait_until

pytestmark = pytest.mark.skipif(shutil.which("setsid") is None, reason="setsid is not installed")

STUBBORN_TREE = """
trap '' TERM
setsid sh -c "trap '' TERM; sleep 600; sleep 600" &
env -i setsid sh -c 'echo $$ > "$0"; exec sleep 600' "$LEDGER/nameless" &
(setsid sleep 600 &)
while :; do sleep 600; done
"""
TREE_SIZE = 5
"""Processes of the tree that carry the job's variables; one more carries none."""

ONLY_ONCE = '[ "$SHOAL_ATTEMPT" = 1 ] || exit 0'


def start_tree(environment: LiveEnvironment, job_id: str) -> list[psutil.Process]:
    """Wait until a job's stubborn tree has grown, and return all its processes."""
    nameless = environment.ledger / "nameless"
    wait_until(
        lambda: (
            len(environment.processes(SHOAL_JOB_ID=job_id)) >= TREE_SIZE
            and nameless.exists()
            and nameless.read_text().endswith("\n")
        ),
        "the tree of processes",
    )
    tree = environment.processes(SHOAL_JOB_ID=job_id)
    return [*tree, psutil.Process(int(nameless.read_text()))]


def is_over(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def worker_of(environment: LiveEnvironment, job_id: str) -> psutil.Process:
    """The process of the worker that runs a job."""
    wait_until(lambda: environment.client.job(job_id).status == Status.STARTED, "the start")
    state = environment.client.job(job_id).state
    assert isinstance(state, Started)
    pids = {worker.worker: worker.pid for worker in environment.client.workers()}
    return psutil.Process(pids[state.lease.worker])


def freeze(environment: LiveEnvironment, worker: psutil.Process) -> None:
    """Stop a worker at a moment when it holds no lock that all others wait for."""
    with closing(sqlite3.connect(environment.layout.database, isolation_level=None)) as store:
        store.execute("BEGIN IMMEDIATE")  # so it is ours, and not the worker's
        os.kill(worker.pid, signal.SIGSTOP)
        wait_until(lambda: worker.status() == psutil.STATUS_STOPPED, "the worker to stop")
        store.execute("ROLLBACK")


def wait_for(environment: LiveEnvironment, job_id: str, status: Status) -> Table:
    """Wait until a job is over, and return the job table then."""
    wait_until(lambda: environment.client.job(job_id).status.is_final, f"the end of {job_id}")
    table = read_consistent(environment.layout.database)
    assert table.jobs[job_id].status == status
    return table


def test_a_killed_workers_job_runs_again(live: MakeLive) -> None:
    """What a killed worker's attempt has started is ended, and its job runs again, uncounted."""
    environment = live(lease_s=600, linger_s=0.2)
    environment.submit("job", f"{ONLY_ONCE}\nsetsid sleep 600 & sleep 600 & sleep 600; :")
    environment.start_supervisor("--max-workers", "2")
    wait_until(lambda: len(environment.processes(SHOAL_ATTEMPT="1")) >= 4, "the first attempt")
    worker_of(environment, "job").kill()
    table = wait_for(environment, "job", Status.SUCCESSFUL)
    assert not environment.processes(SHOAL_ATTEMPT="1")
    job = table.jobs["job"]
    assert (job.run, job.attempt, job.failures, job.interruptions) == (1, 2, 0, 1)


@pytest.mark.parametrize("how", ["cancel", "timeout", "replace"])
def test_an_unwanted_attempt_ends_with_all_it_has_started(live: MakeLive, how: str) -> None:
    """Cancel, timeout and replacement end the tree, what ignores SIGTERM or detached itself too."""
    environment = live(lease_s=600, linger_s=0.2, grace_s=0.2)
    keys = {"timeout": 3.0} if how == "timeout" else {}
    environment.submit("job", STUBBORN_TREE, **keys)
    environment.start_supervisor("--max-workers", "1")
    tree = start_tree(environment, "job")
    if how == "cancel":
        environment.client.cancel("job")
    elif how == "replace":
        environment.submit("job", "true")
    ends = {"cancel": Status.CANCELLED, "timeout": Status.FAILED, "replace": Status.SUCCESSFUL}
    try:
        table = wait_for(environment, "job", ends[how])
        wait_until(lambda: all(map(is_over, tree)), "the end of the tree")
    finally:
        for process in tree:
            if not is_over(process):
                process.kill()
    assert [attempt.run for attempt in table.attempts["job"]] == list(
        range(1, table.jobs["job"].run + 1)
    )


@pytest.mark.parametrize("meanwhile", ["runs on", "ends"])
def test_a_frozen_workers_late_report_is_refused(live: MakeLive, meanwhile: str) -> None:
    """A job whose worker froze runs elsewhere; thawed, the worker can neither settle nor add."""
    environment = live(lease_s=2, linger_s=0.5, grace_s=0.2)
    folder = environment.layout.root / "folder"
    folder.mkdir()
    slow = (
        f'until [ -e "{environment.ledger}/go" ]; do sleep 0.02; done; echo late > out.txt; exit 1'
    )
    (folder / "run.sh").write_text(f"echo good > out.txt\n{ONLY_ONCE}\n{slow}\n")
    environment.start_supervisor("--max-workers", "2")
    wait_until(lambda: environment.processes(SHOAL_ATTEMPT="1"), "the first attempt")
    frozen = worker_of(environment, "folder/run.sh")
    freeze(environment, frozen)
    wait_for(environment, "folder/run.sh", Status.SUCCESSFUL)
    assert environment.processes(SHOAL_ATTEMPT="1")
    if meanwhile == "ends":
        (environment.ledger / "go").touch()
        wait_until(lambda: not environment.processes(SHOAL_ATTEMPT="1"), "the late end")
    os.kill(frozen.pid, signal.SIGCONT)
    wait_until(lambda: is_over(frozen), "the thawed worker to leave")
    assert not environment.processes(SHOAL_ATTEMPT="1")
    table = wait_for(environment, "folder/run.sh", Status.SUCCESSFUL)
    attempts = table.attempts["folder/run.sh"]
    assert {attempt.ending for attempt in attempts[:-1]} == {"interrupted"}
    assert attempts[-1].ending == "successful"
    assert attempts[0].worker != attempts[-1].worker
    assert (folder / "out.txt").read_text() == "good\n"


def test_a_frozen_idle_worker_holds_up_no_job(live: MakeLive) -> None:
    """A job that the only worker there does not take, as it is frozen, runs on another one."""
    environment = live(lease_s=1, linger_s=600)
    environment.submit("first", "true")
    environment.start_supervisor("--max-workers", "1")
    first = wait_for(environment, "first", Status.SUCCESSFUL).attempts["first"]
    (idle,) = environment.client.workers()
    freeze(environment, psutil.Process(idle.pid))
    environment.submit("second", "true")
    second = wait_for(environment, "second", Status.SUCCESSFUL).attempts["second"]
    assert first[-1].worker == idle.worker != second[-1].worker


def test_the_attempt_of_a_worker_killed_while_stopping_it_is_ended(live: MakeLive) -> None:
    """A worker that dies between a cancel and its effect leaves no process behind."""
    environment = live(lease_s=600, linger_s=0.2)
    environment.submit("job", "setsid sleep 600 & sleep 600; :")
    environment.start_supervisor("--max-workers", "1")
    wait_until(lambda: len(environment.processes(SHOAL_JOB_ID="job")) >= 3, "the attempt")
    worker = worker_of(environment, "job")
    freeze(environment, worker)
    environment.client.cancel("job")
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: not environment.processes(SHOAL_JOB_ID="job"), "the end of the attempt")
    wait_until(lambda: not list(environment.layout.workers.iterdir()), "the clearing up")
    assert list(environment.layout.work.iterdir()) == []


def test_workers_finish_without_their_supervisor(live: MakeLive) -> None:
    """When the supervisor is killed, the workers finish the queue and leave by themselves."""
    environment = live(lease_s=600, linger_s=0.2)
    for number in range(40):
        environment.submit(f"job-{number}", "sleep 0.05")
    supervisor = environment.start_supervisor("--max-workers", "3")
    wait_until(lambda: len(environment.client.jobs(statuses=[Status.SUCCESSFUL])) >= 5, "jobs")
    supervisor.kill()
    supervisor.wait()
    wait_until(lambda: environment.client.counts().live == 0, "the end of all jobs")
    wait_until(lambda: not environment.processes(), "the workers to leave")
    table = read_consistent(environment.layout.database)
    assert all(job.status == "Successful" for job in table.jobs.values())
    assert all(job.interruptions == 0 for job in table.jobs.values())
    left = [environment.layout.work, environment.layout.workers, environment.layout.bells / "idle"]
    assert [path for folder in left for path in Path(folder).iterdir()] == []
