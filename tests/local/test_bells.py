"""Bells wake whoever waits, and hold nobody up: not a dead listener, not a full pipe."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.local.bells import IDLE, STOP, SUPERVISOR, WATCH, Bell, Bells

from .mounts import mounted, remount

LONG_S = 60.0


@pytest.fixture
def bells(tmp_path: Path) -> Bells:
    return Bells(tmp_path / "bells")


def test_a_ring_ends_waiting(bells: Bells) -> None:
    """Who waits for a bell wakes when it rings."""
    with bells.hang(STOP, "w") as bell:
        ringer = threading.Timer(0.05, bells.ring_worker, ["w"])
        ringer.start()
        assert bell.wait(LONG_S)
        ringer.join()


def test_a_ring_before_waiting_is_heard(bells: Bells) -> None:
    """A bell that rang before anybody waited ends the next wait, once."""
    with bells.hang(STOP, "w") as bell:
        bells.ring_worker("w")
        bells.ring_worker("w")
        assert bell.wait(LONG_S)
        assert not bell.wait(0)
        assert not bell.silence()


def test_nobody_there_is_no_error(bells: Bells) -> None:
    """Ringing where no bell hangs, or hangs no more, does nothing."""
    bells.ring_worker("nobody")
    bells.ring_workers(3)
    bells.ring_watchers()
    bells.ring_supervisor()
    with bells.hang(WATCH, "a"):
        pass
    bells.ring_watchers()
    assert not list(bells.folder.glob("*/*"))


def test_as_many_idle_workers_wake_as_there_are_jobs(bells: Bells) -> None:
    """Two new jobs wake two of the idle workers; `None` wakes them all."""
    hung = [bells.hang(IDLE, f"w-{number}") for number in range(5)]
    with bells.hang(SUPERVISOR, "main") as supervisor:
        bells.ring_workers(2)
        assert sum(bell.silence() for bell in hung) == 2
        assert supervisor.silence()
        bells.ring_workers(None)
        assert all(bell.silence() for bell in hung)
    for bell in hung:
        bell.close()


def test_the_bell_of_a_killed_worker_takes_no_ring(bells: Bells) -> None:
    """A pipe left behind by a killed worker does not count as a worker woken."""
    for number in range(5):
        left = bells.folder / IDLE / f"dead-{number}"
        left.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(left)
    with bells.hang(IDLE, "w") as bell:
        bells.ring_workers(1)
        assert bell.silence()


def test_what_is_no_bell_takes_no_ring(bells: Bells) -> None:
    """Plain files, folders and broken links among the bells stop no ring."""
    folder = bells.folder / WATCH
    (folder / "folder").mkdir(parents=True)
    (folder / "link").symlink_to("nowhere")
    (folder / "file").write_text("")
    with bells.hang(WATCH, "w") as bell:
        bells.ring_watchers()
        assert bell.silence()


def test_ringing_never_blocks(bells: Bells) -> None:
    """However often a bell rings unheard, the ringer goes on; one look silences it."""
    with bells.hang(STOP, "w") as bell:
        for _ in range(70_000):  # more than a pipe holds
            bells.ring_worker("w")
        assert bell.wait(0)
        while bell.silence():
            pass
        bells.ring_worker("w")
        assert bell.wait(LONG_S)


def test_a_bell_takes_the_place_of_a_dead_one(bells: Bells) -> None:
    """A bell hangs where one of the same name was left behind."""
    left = bells.folder / SUPERVISOR / "main"
    left.parent.mkdir(parents=True)
    os.mkfifo(left)
    with bells.hang(SUPERVISOR, "main") as bell:
        bells.ring_supervisor()
        assert bell.silence()
    assert not left.exists()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", "tmpfs") as disk:
        remount(disk, "ro")
        yield disk


def assert_waits_in_vain(path: Path) -> None:
    """A bell that can't hang waits out its time, and takes itself down."""
    with Bell(path) as bell:
        assert not bell.wait(0.01)
        assert bell.fileno() >= 0


def test_a_bell_that_cannot_hang_is_waited_for_in_vain(tmp_path: Path) -> None:
    """Where no pipe can be made, waiting takes its time instead of failing."""
    (tmp_path / "file").write_text("")
    assert_waits_in_vain(tmp_path / "file/below/bell")
    assert_waits_in_vain(tmp_path / ("x" * 300))


def test_a_bell_on_a_read_only_disk_is_waited_for_in_vain(read_only: Path) -> None:
    """A client that only reads can wait in a folder that can't be written."""
    assert_waits_in_vain(read_only / "bells/watch/me")


def _ring_itself(bells: Bells, worker: str, times: int) -> None:
    with (bells.folder / IDLE / worker).open("wb", buffering=0) as bell:
        bell.write(b"!" * times)


def test_rings_heard_together_are_for_as_many_workers(bells: Bells) -> None:
    """Two rings that one worker hears at once are for two jobs: the second goes to another."""
    with bells.idle("b") as second:
        with bells.idle("a") as first:
            _ring_itself(bells, "a", 2)
            assert first.wait(LONG_S)
        assert second.wait(LONG_S)
        assert second.heard == 1


def test_a_ring_after_the_last_look_goes_to_another(bells: Bells) -> None:
    """A worker that leaves with a job, and is rung before its bell is down, passes the ring on."""
    with bells.idle("b") as second:
        with bells.idle("a"):
            _ring_itself(bells, "a", 1)
        assert second.wait(LONG_S)


def test_one_ring_for_one_job_wakes_nobody_else(bells: Bells) -> None:
    """Who was rung for the job that it leaves with has nothing to pass on."""
    with bells.idle("b") as second:
        with bells.idle("a") as first:
            _ring_itself(bells, "a", 1)
            assert first.wait(LONG_S)
        assert not second.silence()
