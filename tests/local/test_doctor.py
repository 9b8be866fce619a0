"""The audit: it counts every run, finds each kind of trouble, and mends what can be mended."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import uuid
from typing import Any

from shoal.core.job import Status
from shoal.local import processes

from .place import Place, wait_for_status, wait_until
from .verbs import run_verb


def doctor(place: Place, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and what it found."""
    said = run_verb(place, "doctor", "--json", *arguments)
    found: dict[str, Any] = json.loads(said.out)
    return said.code, found


def codes(found: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in found["findings"]]


def change(place: Place, statement: str) -> None:
    """Do to the database what only a defect could."""
    with sqlite3.connect(place.layout.database) as connection:
        connection.execute(statement)
    connection.close()


def settled_place(place: Place) -> Place:
    """One job of each final status, and one still queued."""
    place.submit(
        {"job_id": "good", "commands": ["true"]},
        {"job_id": "bad", "commands": ["false"]},
        {"job_id": "never", "commands": ["true"], "priority": -1},
    )
    with place.client() as client:
        client.cancel("never")
    place.work()
    with place.client() as client:
        client.retry("never")
    return place


def test_all_runs_are_accounted_for(place: Place) -> None:
    """Submitted runs = successful + failed + cancelled + queued + started; then all is well."""
    code, found = doctor(settled_place(place))
    assert code == 0
    assert found["findings"] == []
    assert found["account"] == {
        "submitted": 4,
        "successful": 1,
        "failed": 1,
        "cancelled": 1,
        "queued": 1,
        "started": 0,
        "missing": 0,
    }


def test_a_run_that_is_over_but_on_no_queue_is_put_there(place: Place) -> None:
    """A lost settlement is found, and --fix derives it again from the table, once."""
    settled_place(place)
    before = place.events()
    change(place, "DELETE FROM settlement WHERE status = 'Failed'")
    code, found = doctor(place)
    assert (code, codes(found), found["account"]["missing"]) == (1, ["lost"], 1)
    assert doctor(place, "--fix")[0] == 0
    assert doctor(place)[0] == 0
    assert sorted((e.job_id, e.run, e.status, e.reason, e.job) for e in place.events()) == sorted(
        (e.job_id, e.run, e.status, e.reason, e.job) for e in before
    )


def test_a_run_settled_twice_is_reported(place: Place) -> None:
    """A doubled settlement can't be mended, and is not passed over."""
    settled_place(place)
    change(
        place,
        "INSERT INTO settlement(seq, run, status, reason, settled_at, spec)"
        " SELECT seq, run, status, reason, settled_at, spec FROM settlement LIMIT 1",
    )
    code, found = doctor(place, "--fix")
    assert (code, codes(found), found["account"]["missing"]) == (1, ["doubled"], -1)


def test_what_a_dead_worker_leaves_is_cleared(place: Place) -> None:
    """The job of a killed worker is queued again; its processes, lock and work folder are gone."""
    place.submit({"job_id": "long", "commands": ["setsid sleep 1000 & sleep 1000"]})
    name = f"w-{uuid.uuid4().hex[:8]}"
    worker = place.start_worker(name)
    wait_for_status(place, "long", Status.STARTED)
    wait_until(lambda: len(processes.find_started_by(name)) >= 3)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    code, found = doctor(place)
    assert code == 1
    assert {"orphaned", "leftover"} == set(codes(found))
    assert doctor(place, "--fix")[0] == 0
    assert doctor(place) == (0, {**doctor(place)[1], "findings": []})
    assert processes.find_started_by(name) == []
    job = place.job("long")
    assert (job.status, job.interruptions, job.failures) == (Status.QUEUED, 1, 0)


def test_an_expired_lease_is_found(place: Place) -> None:
    """A job whose worker lives but let the lease expire is reported and queued again."""
    place.set(lease_s=1)
    place.submit({"job_id": "long", "commands": ["sleep 1000"]})
    worker = place.start_worker()
    wait_for_status(place, "long", Status.STARTED)
    worker.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: codes(doctor(place)[1]) == ["orphaned"])
        assert doctor(place, "--fix")[0] == 0
        assert place.job("long").status == Status.QUEUED
    finally:
        worker.send_signal(signal.SIGCONT)


def test_an_executable_nobody_took_in_is_found(place: Place) -> None:
    """Without a supervisor an upload waits; --fix makes it the job it stands for."""
    place.submit()
    place.put("a/run.sh", "echo")
    wait_until(lambda: codes(doctor(place)[1]) == ["waiting"])
    assert doctor(place, "--fix")[0] == 0
    assert place.statuses() == {"a/run.sh": Status.QUEUED}
    assert doctor(place)[0] == 0


def test_a_sound_environment_in_use_is_left_alone(place: Place) -> None:
    """While workers work and a supervisor watches, there is nothing to find or to fix."""
    with place.supervised():
        place.submit({"job_id": "long", "commands": ["sleep 1000"]})
        wait_for_status(place, "long", Status.STARTED)
        code, found = doctor(place, "--fix")
        assert (code, found["findings"], found["account"]["started"]) == (0, [], 1)
        assert place.job("long").interruptions == 0
        with place.client() as client:
            client.cancel("long")


def test_a_damaged_file_is_saved_as_far_as_it_can_be_read(place: Place) -> None:
    """--fix keeps the damaged file, and brings over what is readable from both ends of it."""
    place.submit(*({"job_id": f"job-{n}", "commands": ["true"]} for n in range(2000)))
    with place.layout.database.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(size // 3)
        file.write(b"\xa5" * 4096 * 3)
    assert run_verb(place, "doctor").code in (1, 3)
    assert run_verb(place, "doctor", "--fix").code == 0
    statuses = place.statuses()
    assert 500 < len(statuses) < 2000
    assert set(statuses.values()) == {Status.QUEUED}
    assert list(place.layout.own.glob("damaged-*.db"))
    assert doctor(place)[0] == 0


def test_a_file_in_use_is_not_moved_aside(place: Place) -> None:
    """Salvage refuses while a worker is alive."""
    place.submit({"job_id": "long", "commands": ["sleep 1000"]})
    place.start_worker()
    wait_for_status(place, "long", Status.STARTED)
    script = "import sys; from shoal.local.doctor import salvage; from shoal.local.layout import"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{script} Layout; from pathlib import Path; salvage(Layout(Path(sys.argv[1])))",
            str(place.root),
        ],
        capture_output=True,
        text=True,
    )
    assert "is in use" in done.stderr
    assert place.job("long").status == Status.STARTED
