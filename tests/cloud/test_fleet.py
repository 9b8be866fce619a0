"""The whole story: job folders in a bucket, a fleet from none to four and back to none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from .counts import Moment
from .emulator import Emulator
from .machines import Machines
from .stacks import Deployed, deploy
from .watching import PARAMETERS, Watched

JOBS = 200

EXECUTABLE = "#!/bin/sh\ntr a-z A-Z <input.txt >output.txt\necho finished\n"


@pytest.fixture(scope="module")
def stacks(emulator: Emulator) -> Deployed:
    """A fleet of at most four."""
    return deploy(emulator, "fleet", None, PARAMETERS)


@pytest.fixture
def fleet(stacks: Deployed, machines: Machines) -> Iterator[Watched]:
    """The fleet with its machines; nothing of it is left after a test."""
    watched = Watched(stacks, machines)
    yield watched
    watched.until_quiet()


@pytest.mark.timeout(300)
def test_job_folders_run_on_a_fleet(fleet: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    """200 folders uploaded by a plain script are all Successful, each once, at the promised cost.

    Per job: at most 4.2 state transitions and 4.2 calls of functions, intake aside.
    """
    moment = Moment(fleet.stacks.emulator, fleet.stacks.state_machine, "fleet-")
    for number in range(JOBS):
        fleet.put(f"jobs/{number}/input.txt", f"job {number}\n")
        fleet.put(f"jobs/{number}/run.sh", EXECUTABLE)

    assert fleet.until_over(JOBS, 240) == {"Successful": JOBS}

    for number in range(JOBS):
        assert fleet.body(f"jobs/{number}/output.txt") == f"JOB {number}\n".encode()
    job_ids = {f"jobs/{number}/run.sh" for number in range(JOBS)}
    assert {job["job_id"] for job in fleet.drain_jobs("-finished")} == job_ids
    assert fleet.drain_jobs("-failed") == []
    assert {item["batch"]["S"] for item in fleet.items()} == {"jobs"}
    assert [again for again in fleet.attempts() if '"successful"' not in again] == []
    assert fleet.machines.capacity(fleet.stacks.group) == 0
    workers = Counter(command.machine.instance_id for command in fleet.machines.sent())
    assert (workers.total(), len(workers) <= 4) == (JOBS, True)

    counts = moment.counts()
    with capsys.disabled():
        print(f"\n{JOBS} job folders\n{counts.table(JOBS)}")
    assert counts.over_limits() == []
    assert counts.errors.total() == 0
    intake = sum(calls for name, calls in counts.calls.items() if name.startswith("S3Trigger"))
    assert counts.transitions / JOBS <= 4.2
    assert (counts.calls.total() - intake) / JOBS <= 4.2
    # Uploads come by the thousand; the group is asked a few times.
    assert fleet.machines.calls["SetDesiredCapacity"] <= JOBS / 10
