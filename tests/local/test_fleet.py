"""The fleet: workers are processes of their own, known by a lock for as long as they live."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shoal.core.errors import EnvironmentBusy
from shoal.core.job import Status
from shoal.local.fleet import LocalFleet, WorkerLock, is_locked, lock_file, supervisor_lock

from .place import DEADLINE_S, Place, is_gone, wait_until

WAIT_FOR_LOCK = """
import os, pathlib, sys
from shoal.local.fleet import lock_file
path = pathlib.Path(sys.argv[1])
fd = lock_file(path, wait=True)
sys.exit(os.fstat(fd).st_ino != path.stat().st_ino)
"""
"""Waits for a lock, then says by its exit code whether it locked the file that is there."""

WAIT_FOR_GO = "touch $SHOAL_ENV/started; while [ ! -e $SHOAL_ENV/go ]; do sleep 0.01; done"


@pytest.fixture
def fleet(place: Place) -> Iterator[LocalFleet]:
    """A fleet whose workers stay until they are asked to leave."""
    place.set(linger_s=1000.0)
    with place.client():
        pass  # makes the database
    fleet = LocalFleet(place.layout)
    yield fleet
    fleet.signal(signal.SIGKILL)
    wait_until(lambda: fleet.size() == 0)
    fleet.take_failed()


def test_launched_workers_are_known(fleet: LocalFleet, place: Place) -> None:
    """A worker counts from its launch, and is listed with its process when it is up."""
    fleet.launch(2)
    assert fleet.size() == 2
    wait_until(lambda: len(fleet.workers()) == 2)
    assert fleet.size() == 2
    for worker in fleet.workers():
        assert worker.pid is not None
        process = psutil.Process(worker.pid)
        assert worker.worker in process.cmdline()
        assert os.getsid(worker.pid) == worker.pid
        assert process.cwd().startswith(str(place.layout.own))
    assert len(LocalFleet(place.layout).workers()) == 2


def test_drained_workers_leave_and_leave_nothing(fleet: LocalFleet, place: Place) -> None:
    """Idle workers that are asked to leave end at once, in good order, without a trace."""
    fleet.launch(2)
    wait_until(lambda: len(fleet.workers()) == 2)
    fleet.drain()
    wait_until(lambda: fleet.size() == 0)
    assert fleet.take_failed() == []
    for folder in (place.layout.workers, place.layout.work, place.layout.logs / "workers"):
        assert list(folder.iterdir()) == []


def test_a_draining_worker_finishes_its_job_and_takes_no_other(
    fleet: LocalFleet, place: Place
) -> None:
    """What runs goes on to its end; what waits goes on waiting."""
    place.submit(
        {"job_id": "a", "commands": [WAIT_FOR_GO], "priority": 1},
        {"job_id": "b", "commands": ["echo"]},
    )
    fleet.launch(1)
    wait_until(lambda: (place.root / "started").exists())
    fleet.drain()
    place.put("go")
    wait_until(lambda: fleet.size() == 0)
    assert place.statuses() == {"a": Status.SUCCESSFUL, "b": Status.QUEUED}


def test_a_worker_outlives_who_launched_it(place: Place) -> None:
    """A worker goes on when the supervisor that launched it is killed, and its terminal goes."""
    place.submit({"job_id": "a", "commands": [WAIT_FOR_GO]})
    supervisor = place.start("up", place.root)
    wait_until(lambda: (place.root / "started").exists())
    supervisor.kill()
    supervisor.communicate()
    place.put("go")
    wait_until(lambda: place.job("a").status == Status.SUCCESSFUL)
    fleet = LocalFleet(place.layout)
    wait_until(lambda: fleet.workers() == [])
    assert len(place.attempts("a")) == 1


def test_a_living_worker_is_not_reclaimed(fleet: LocalFleet) -> None:
    """Whoever holds its lock is alive, and nothing of it is touched."""
    fleet.launch(1)
    wait_until(lambda: len(fleet.workers()) == 1)
    [worker] = fleet.workers()
    assert not fleet.reclaim(worker.worker)
    assert psutil.pid_exists(worker.pid)
    assert fleet.workers() == [worker]


def test_a_dead_worker_is_reclaimed_with_all_it_left(fleet: LocalFleet, place: Place) -> None:
    """Processes, work folder, script and lock of a killed worker go, and it is reported."""
    place.submit(
        {
            "job_id": "a",
            "commands": [
                "setsid sh -c 'echo $$ > $SHOAL_ENV/pid; exec sleep 1000' &",
                f": {'x' * 200_000}",
                "echo x > file; sleep 1000",
            ],
        }
    )
    fleet.launch(1)
    pid = place.root / "pid"
    wait_until(lambda: pid.exists() and pid.read_text())
    [worker] = fleet.workers()
    fleet.signal(signal.SIGKILL)
    wait_until(lambda: fleet.size() == 0)
    assert fleet.take_failed() == [(worker.worker, -signal.SIGKILL)]
    assert fleet.take_failed() == []
    assert fleet.reclaim(worker.worker)
    assert is_gone(int(pid.read_text()))
    assert list(place.layout.work.iterdir()) == []
    assert list(place.layout.workers.iterdir()) == []
    assert fleet.reclaim(worker.worker)


def test_a_worker_that_cannot_start_is_reported_with_its_log(place: Place) -> None:
    """A worker that ends with an error is reported once, and its log says why."""
    place.submit({"job_id": "a", "commands": ["echo"]})
    place.layout.settings.write_text("linger_s = 'never'")
    fleet = LocalFleet(place.layout)
    fleet.launch(1)
    wait_until(lambda: fleet.size() == 0)
    [(worker, code)] = fleet.take_failed()
    assert code > 0
    assert "linger_s can't be 'never'" in fleet.log_path(worker).read_text()


def test_rubbish_among_the_locks_is_no_worker(place: Place) -> None:
    """Files without a lock, and locks without sense, are passed over."""
    (place.layout.workers / "w-old.lock").write_text('{"worker":"w-old","pid":1}')
    rubbish = place.layout.workers / "w-rubbish.lock"
    fd = lock_file(rubbish, wait=False)
    os.write(fd, b"\x00\xff{")
    try:
        assert LocalFleet(place.layout).workers() == []
        assert is_locked(rubbish)
    finally:
        os.close(fd)
    assert not is_locked(rubbish)
    assert not is_locked(place.layout.workers / "missing.lock")


def test_a_lock_is_known_while_it_is_held(place: Place) -> None:
    """A worker is listed from when it takes its lock until it lets go of it."""
    fleet = LocalFleet(place.layout)
    with WorkerLock(place.layout, "w-test", 12.5):
        [worker] = fleet.workers()
        assert (worker.worker, worker.pid, worker.started_at) == ("w-test", os.getpid(), 12.5)
    assert fleet.workers() == []
    assert list(place.layout.workers.iterdir()) == []


def test_a_lock_file_removed_while_waited_for_is_made_anew(tmp_path: Path) -> None:
    """Who waits for a lock whose file is removed gets the lock of a new file, that others see."""
    path = tmp_path / "x.lock"
    first = lock_file(path, wait=False)
    child = subprocess.Popen([sys.executable, "-c", WAIT_FOR_LOCK, path])
    try:
        wait_until(lambda: _waits_for_lock(child.pid))
    finally:
        path.unlink()
        os.close(first)
        assert child.wait(DEADLINE_S) == 0
    assert path.exists()


def test_one_supervisor_at_a_time(place: Place) -> None:
    """The lock of a supervisor refuses a second one, and is free after the first."""
    with supervisor_lock(place.layout):
        second = supervisor_lock(place.layout)
        with pytest.raises(EnvironmentBusy, match=f"process {os.getpid()}"), second:
            pass
    with supervisor_lock(place.layout):
        pass


def _waits_for_lock(pid: int) -> bool:
    lines = Path("/proc/locks").read_text().splitlines()
    return any("-> FLOCK" in line and f" {pid} " in line for line in lines)
