"""Job folders with strange names, and output without end, on real stacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

import shoal

from .emulator import Emulator
from .machines import Machines
from .stacks import Deployed, as_user
from .support import (
    PARAMETERS,
    Told,
    come_to_rest,
    drain,
    objects,
    put_folder,
    send,
    standing,
    wait_for_jobs,
    wait_until,
)

NAMES = (
    "with two  spaces",
    "plus+plus",
    "per%cent",
    "per%2Bcent",
    """it's "quoted" """,
    "ünï-日本-😀",
    "$(touch pwned)",
    "`touch pwned`",
    ";touch pwned;",
    "-rf",
    "..dots..",
    "back\\slash",
    "*?[a]",
    "{{ x }} ${x}",
    "<&amp;>",
)

COPY = 'for name in in*; do cat -- "$name" >"out${name#in}"; done\n'

LONG = "/".join(["d" * 200] * 4 + ["e" * 88])
"""With the name of an executable it makes a key of 900 characters."""

BIG_BYTES = 100_000_000
FLOOD = f"head -c {BIG_BYTES} /dev/zero | tr '\\0' x | fold -w 99999"
EDGE = "head -c 1048570 /dev/zero | tr '\\0' y; printf ACROSS-THE-EDGE; yes | head -c 99999"


@dataclass
class Seen:
    """What came of all that was put into a bucket and a queue."""

    site: Deployed
    jobs: dict[str, dict[str, Any]]
    objects: dict[str, bytes]
    finished: list[Told]
    failed: list[Told]
    events: list[dict[str, Any]]
    settling_peak_bytes: int

    def refusal(self, key: str) -> str:
        """Why an object did not become a job, as the failed queue and `shoal events` say."""
        (told,) = (of for of in self.failed if of.job == {"refused": key})
        (event,) = (of for of in self.events if of["job"] == {"refused": key})
        assert event["queue"] == "failed"
        assert event["reason"] == told.reason
        assert key not in self.jobs
        return told.reason


@pytest.fixture(scope="module")
def seen(_account: tuple[Emulator, Machines]) -> Iterator[Seen]:
    """All cases together: they do not disturb each other, which is one of the things shown."""
    emulator, machines = _account
    machines.reset()
    wanted = {**PARAMETERS, "MaxInstancesAllowed": "3", "LiveLogs": "false"}
    with standing(emulator, "limits", None, wanted) as site:
        yield _see(site, machines)
    machines.reset()


def _see(site: Deployed, machines: Machines) -> Seen:
    ids = _upload(site)
    send(site, *_direct())
    again = "again/run.sh"
    wait_for_jobs(site, [again])
    put_folder(site, "again", {"run.sh": "cat in.txt >two.txt\necho second\n"})
    s3 = site.client("s3")
    wait_until(lambda: "again/two.txt" in objects(site, "again/"), "the second run")
    items = wait_for_jobs(site, [*ids, *(job["job_id"] for job in _direct())])
    come_to_rest(site, machines)
    # Nothing may come of results: give it a moment to be wrong.
    assert s3.list_objects_v2(Bucket=site.bucket, Prefix="maker/made")["KeyCount"] == 1
    return Seen(
        site,
        items,
        objects(site),
        drain(site, f"{site.queue}-finished"),
        drain(site, f"{site.queue}-failed"),
        _events(site),
        max(_peaks(site.emulator)),
    )


def _upload(site: Deployed) -> list[str]:
    ids = []
    for name in NAMES:
        ids += put_folder(site, f"names/{name}", {f"{name}.sh": COPY}, **{f"in {name}": name})
    ids += put_folder(site, LONG, {"f" * 4 + ".sh": COPY}, **{"in.txt": "long"})
    ids += put_folder(
        site,
        "twins",
        {"a.sh": "cat in.txt >a.txt; ls >a.list", "b.sh": "cat in.txt >b.txt"},
        **{"in.txt": "shared"},
    )
    ids += put_folder(site, "maker", {"run.sh": "echo 'echo no' >made.sh\n"})
    ids += put_folder(site, "again", {"run.sh": "cat in.txt >one.txt\n"}, **{"in.txt": "here"})
    s3 = site.client("s3")
    for key, content in (("root.sh", b"echo"), ("empty/run.sh", b""), ("up/../x/run.sh", b"echo")):
        s3.put_object(Bucket=site.bucket, Key=key, Body=content)
    return ids


def _direct() -> list[dict[str, Any]]:
    def job(job_id: str, command: str, string: str) -> dict[str, Any]:
        return {"job_id": job_id, "job_success_string": string, "commands": [command]}

    return [
        job("big", f"{FLOOD}; echo; echo THE-END", "THE-END"),
        job("edge", EDGE, "ACROSS-THE-EDGE"),
        job("absent", EDGE, "NOWHERE"),
    ]


def _events(site: Deployed) -> list[dict[str, Any]]:
    environment = {**os.environ, **site.emulator.session_env(), "SHOAL_ENV": site.environment}
    done = subprocess.run(
        [sys.executable, "-m", "shoal.cli.main", "events", "--json"],
        capture_output=True,
        text=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _peaks(emulator: Emulator) -> Iterator[int]:
    """The most memory that each process of a function that settles jobs has ever had."""
    for process in psutil.Process(emulator._process.pid).children(recursive=True):
        try:
            name = process.environ().get("AWS_LAMBDA_FUNCTION_NAME", "")
            status = Path(f"/proc/{process.pid}/status").read_text()
        except (psutil.Error, OSError):
            continue
        if name.startswith("limits-") and "SettleJob" in name:
            (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
            yield 1024 * int(line.split()[1])


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_strange_name(seen: Seen, name: str) -> None:
    """Whatever a key is, its job runs, and its results land beside it."""
    item = seen.jobs[f"names/{name}/{name}.sh"]
    assert (item["Status"], item["reason"]) == ("Successful", "confirmed")
    assert seen.objects[f"names/{name}/out {name}"] == name.encode()
    assert json.loads(item["Commands"]) == [f"{name}.sh"]


def test_no_name_is_run(seen: Seen, _account: tuple[Emulator, Machines]) -> None:
    """Keys are data: what they would do as a part of a command was done nowhere."""
    for place in (_account[0].folder, _account[1].folder, Path.cwd()):
        assert not [*place.rglob("pwned")]
    names = {key.rpartition("/")[2] for key in seen.objects}
    assert "pwned" not in names


def test_a_job_id_of_900_characters(seen: Seen) -> None:
    """It runs as any other, though SSM's comment takes 100 characters."""
    (job_id,) = (name for name in seen.jobs if name.startswith(LONG))
    assert len(job_id) >= 900
    assert seen.jobs[job_id]["Status"] == "Successful"
    assert seen.objects[f"{LONG}/out.txt"] == b"long"
    assert job_id in {told.job["job_id"] for told in seen.finished}


def test_two_executables_in_one_folder(seen: Seen) -> None:
    """They make two jobs over the same inputs."""
    assert {seen.jobs[f"twins/{name}.sh"]["Status"] for name in "ab"} == {"Successful"}
    assert seen.objects["twins/a.txt"] == seen.objects["twins/b.txt"] == b"shared"
    assert {"a.sh", "b.sh", "in.txt"} <= set(seen.objects["twins/a.list"].decode().split("\n"))


def test_a_result_with_the_suffix(seen: Seen) -> None:
    """A result that ends in the trigger suffix starts no job."""
    assert "maker/made.sh" in seen.objects
    assert "maker/made.sh" not in {event["job_id"] for event in seen.events}


def test_an_executable_that_is_uploaded_again(seen: Seen) -> None:
    """It starts run 2, in the folder that run 1 has left."""
    item = seen.jobs["again/run.sh"]
    assert (item["run"], item["Status"]) == (2, "Successful")
    assert seen.objects["again/one.txt"] == seen.objects["again/two.txt"] == b"here"
    told = [of.job["job_id"] for of in seen.finished]
    assert told.count("again/run.sh") == 2


# --- what can be no job -------------------------------------------------------------------------


def test_an_executable_at_the_root(seen: Seen) -> None:
    """It is refused, since the whole bucket would be its folder."""
    assert "top of the bucket" in seen.refusal("root.sh")


def test_an_empty_executable(seen: Seen) -> None:
    """It is refused: nobody uploads nothing on purpose."""
    assert "is empty" in seen.refusal("empty/run.sh")


def test_a_key_with_dots_for_a_part(seen: Seen) -> None:
    """It is refused: no folder on a machine can have the name."""
    assert "'..' part" in seen.refusal("up/../x/run.sh")


# --- output -------------------------------------------------------------------------------------


def test_output_of_100_mb(seen: Seen) -> None:
    """A success string in its last line is found, all is kept, and the table shows its end."""
    item = seen.jobs["big"]
    assert item["Status"] == "Successful"
    assert item["Output_Logs"].endswith("xxx\nTHE-END\n")
    assert len(item["Output_Logs"]) < 10_000
    with as_user(seen.site.emulator), shoal.connect(seen.site.environment) as client:
        pieces = map(len, client.output("big"))
        assert sum(pieces) > BIG_BYTES


def test_output_is_not_held_in_memory(seen: Seen) -> None:
    """The function that looks through 100 MB needs no more memory than for any other job."""
    assert seen.settling_peak_bytes < 150_000_000


def test_a_success_string_across_two_reads(seen: Seen) -> None:
    """A string is found where two pieces of the output meet."""
    assert seen.jobs["edge"]["Status"] == "Successful"


def test_a_success_string_that_is_not_there(seen: Seen) -> None:
    """A job without its success string is Failed, and the reason says so."""
    item = seen.jobs["absent"]
    assert item["Status"] == "Failed"
    assert item["reason"] == "success string 'NOWHERE' is not in the output"
    (told,) = (of for of in seen.failed if of.job.get("job_id") == "absent")
    assert told.reason == item["reason"]
