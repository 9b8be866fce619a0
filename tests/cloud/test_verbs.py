"""The verbs of the command line on real stacks, with real workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from click.testing import CliRunner

from shoal.cli.main import cli

from .emulator import Emulator
from .machines import Machines
from .stacks import Deployed
from .support import (
    PARAMETERS,
    come_to_rest,
    drain,
    job,
    queue_url,
    standing,
    wait_for_jobs,
    wait_until,
)

Type = Callable[..., str]


@pytest.fixture(scope="module")
def site(emulator: Emulator) -> Iterator[Deployed]:
    """A fleet of one worker at most."""
    wanted = {**PARAMETERS, "MaxInstancesAllowed": "1"}
    with standing(emulator, "verbs", None, wanted) as stands:
        yield stands


def variables(site: Deployed) -> dict[str, str]:
    """The environment of a person who uses the stack."""
    return {
        **site.emulator.session_env(),
        "SHOAL_ENV": site.environment,
        "AWS_CONFIG_FILE": os.devnull,
    }


@pytest.fixture
def type_shoal(site: Deployed) -> Type:
    """Run a verb; what it prints. Any other exit code than `code` fails the test."""

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, words, env=variables(site), standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        assert (done.return_value or 0) == code, done.output
        return done.stdout

    return run


@contextmanager
def shoal_running(site: Deployed, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A verb that goes on, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal.cli.main", *words],
        env={**os.environ, **variables(site)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def folder(at: Path, script: str, **inputs: str) -> Path:
    """A job folder, here."""
    at.mkdir()
    for name, content in {**inputs, "run.sh": script}.items():
        (at / name).write_text(content)
    return at


def sleepers(seconds: str) -> list[int]:
    """The processes that sleep for so long."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", seconds]:
            found.append(process.pid)
    return found


# --- from submission to results -----------------------------------------------------------------


def test_from_submission_to_results(
    site: Deployed, machines: Machines, type_shoal: Type, tmp_path: Path
) -> None:
    """Folders and commands are submitted, waited for, looked at, told of and fetched."""
    good = folder(tmp_path / "good", "cat in.txt >out.txt; echo said", **{"in.txt": "given"})
    bad = folder(tmp_path / "bad", "echo no >&2; exit 3")
    with shoal_running(site, "events", "--follow", "--json") as events:
        assert type_shoal("submit", str(good), str(bad)) == "good/run.sh\nbad/run.sh\n"
        type_shoal("submit", "--command", 'echo "$V"', "--id", "one", "--set", "V=a b")
        type_shoal("wait", "*/run.sh", "one", "--timeout", "90", code=1)
        assert json.loads(type_shoal("wait", "one", "--json"))["by_status"] == {"Successful": 1}
        listed = json.loads(type_shoal("status", "--json"))["jobs"]
        assert {of["job_id"]: of["Status"] for of in listed} == {
            "good/run.sh": "Successful",
            "bad/run.sh": "Failed",
            "one": "Successful",
        }
        failed = type_shoal("status", "bad/run.sh")
        assert failed.startswith("bad/run.sh is Failed: exit code 3, last output: no")
        assert type_shoal("logs", "good/run.sh") == "said\nupload: results\n"
        assert type_shoal("logs", "one") == "a b\n"
        assert type_shoal("logs", "bad/run.sh", "--attempt", "1.1").startswith("no\n")
        type_shoal("fetch", "good/run.sh", str(tmp_path / "results"))
        assert (tmp_path / "results/good/out.txt").read_text() == "given"
        assert not (tmp_path / "results/good/in.txt").exists()
        come_to_rest(site, machines)
        assert events.stdout is not None
        told = [json.loads(events.stdout.readline()) for _ in range(3)]
    ends = [(of["job_id"], of["run"], of["queue"]) for of in told]
    assert sorted(ends) == [
        ("bad/run.sh", 1, "failed"),
        ("good/run.sh", 1, "finished"),
        ("one", 1, "finished"),
    ]
    assert [of["cursor"] for of in told] == sorted(of["cursor"] for of in told)
    after = type_shoal("events", "--json", "--after", str(told[1]["cursor"])).splitlines()
    assert [json.loads(line)["cursor"] for line in after] == [told[2]["cursor"]]
    assert type_shoal("doctor").endswith("all is well\n")


# --- looking ------------------------------------------------------------------------------------


def test_what_there_is_to_see(
    site: Deployed, machines: Machines, type_shoal: Type, tmp_path: Path
) -> None:
    """The dashboard, the report and `top` show a stack as they show a folder."""
    seen = folder(tmp_path / "seen", "echo shown; cat in.txt >out.txt", **{"in.txt": "given"})
    batch = json.loads(type_shoal("submit", str(seen), "--json"))["batch"]
    assert json.loads(type_shoal("wait", "--batch", batch, "--json"))["total"] == 1
    assert "seen/run.sh" in type_shoal("status", "--batch", batch)
    type_shoal("fetch", "--batch", batch, str(tmp_path / "results"))
    assert (tmp_path / "results/seen/out.txt").read_text() == "given"
    come_to_rest(site, machines)
    figures = json.loads(type_shoal("report", "--batch", batch, "--json"))
    assert figures["counts"]["Successful"] == 1
    assert figures["cost"]["orchestration_usd"] > 0
    type_shoal("report", "--batch", batch, "-o", str(tmp_path / "report.html"))
    assert "seen/run.sh" in (tmp_path / "report.html").read_text()
    assert "Successful" in type_shoal("top", "--once")
    with shoal_running(site, "ui", "--no-open") as ui, httpx.Client() as browser:
        _browse(ui, browser, batch)


def _browse(ui: subprocess.Popen[bytes], browser: httpx.Client, batch: str) -> None:
    assert ui.stdout is not None
    base = httpx.URL(ui.stdout.readline().decode().strip())

    def get(path: str) -> str:
        answer = browser.get(base.join(path), follow_redirects=True, timeout=30.0)
        assert answer.status_code == 200, answer.text
        return answer.text

    assert "seen/run.sh" not in get(str(base.raw_path.decode()))
    assert "Successful" in get("/now")
    for path in ("/jobs", f"/jobs?batch={batch}", "/jobs?q=seen", "/jobs?status=Successful"):
        assert "seen/run.sh" in get(path)
    assert "confirmed" in get("/job?id=seen%2Frun.sh")
    assert "out.txt" in get("/job/files?id=seen%2Frun.sh")
    assert get("/file?id=seen%2Frun.sh&key=seen%2Fout.txt") == "given"
    assert "shown" in get("/log?id=seen%2Frun.sh&attempt=1.1")
    assert "<svg" in get("/workers/timeline")
    assert "no machine" in get("/workers").lower() or "no worker" in get("/workers").lower()


# --- while a job runs ---------------------------------------------------------------------------


def test_running_jobs_are_followed_and_cancelled(
    site: Deployed, machines: Machines, type_shoal: Type, tmp_path: Path
) -> None:
    """`logs -f` shows lines as they come; `cancel` ends all processes, and the worker goes on."""
    _follow(site, type_shoal, tmp_path)
    _cancel(site, type_shoal)
    come_to_rest(site, machines)
    assert json.loads(type_shoal("workers", "--json")) == []


def _follow(site: Deployed, type_shoal: Type, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    script = f"echo first; while [ ! -e {gate} ]; do sleep 0.1; done; echo last; printf end"
    type_shoal("submit", "--command", script, "--id", "talks")
    with shoal_running(site, "logs", "-f", "talks") as logs:
        assert logs.stdout is not None
        assert logs.stdout.readline() == b"first\n"
        assert job(site, "talks")["Status"] == "Started"
        (worker,) = json.loads(type_shoal("workers", "--json"))
        assert worker["job_id"] == "talks"
        assert worker["instance_id"] == job(site, "talks")["instance_id"]
        gate.touch()
        assert logs.stdout.read().rstrip() == b"last\nend"
        assert logs.wait(30) == 0


def _cancel(site: Deployed, type_shoal: Type) -> None:
    script = '[ "$SHOAL_RUN" = 2 ] || sleep 9876.5'
    type_shoal("submit", "--command", script, "--id", "victim")
    wait_until(lambda: sleepers("9876.5"), "the job runs")
    type_shoal("submit", "--command", "true", "--id", "next")
    assert type_shoal("cancel", "victim") == "victim\n"
    wait_until(lambda: not sleepers("9876.5"), "its processes end", 20)
    done = wait_for_jobs(site, ["victim", "next"])
    assert {name: item["Status"] for name, item in done.items()} == {
        "victim": "Cancelled",
        "next": "Successful",
    }
    first, second = (json.loads(done[name]["attempts"][0])[0] for name in ("victim", "next"))
    assert first["worker"] == second["worker"]
    assert first["ending"] == "cancelled"
    assert type_shoal("retry", "vic*") == "victim\n"
    assert wait_for_jobs(site, ["victim"])["victim"]["Status"] == "Successful"


# --- pause, and the audit -----------------------------------------------------------------------


@pytest.fixture
def unswept(site: Deployed) -> Iterator[None]:
    """Nobody else repairs anything meanwhile."""
    with site.unswept():
        yield


def test_a_pause_and_an_audit(
    site: Deployed,
    machines: Machines,
    type_shoal: Type,
    tmp_path: Path,
    unswept: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Paused, workers leave and jobs wait; lost tickets and untold ends are mended meanwhile."""
    monkeypatch.setattr("shoal.aws.doctor.SETTLE_S", -5.0)
    _pause(site, machines, type_shoal, tmp_path)
    _audit(site, type_shoal)
    # Workers have to find the few that are left behind tickets that are worth nothing any more.
    assert len(json.loads(type_shoal("cancel", "v2[1-6]*", "--json"))) == 60
    type_shoal("resume")
    type_shoal("wait", "v20?", "--timeout", "90")
    assert type_shoal("logs", "v207") == "207 volts\n"
    come_to_rest(site, machines)
    counts = json.loads(type_shoal("status", "--json"))["counts"]
    assert (counts["Queued"], counts["Started"], counts["Cancelled"]) == (0, 0, 290)
    report = json.loads(type_shoal("doctor", "--json"))
    assert (report["account"]["missing"], report["findings"]) == (0, [])


def _pause(site: Deployed, machines: Machines, type_shoal: Type, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    script = f"while [ ! -e {gate} ]; do sleep 0.1; done"
    type_shoal("submit", "--command", script, "--id", "before")
    wait_for_jobs(site, ["before"], ["Started"])
    type_shoal("pause")
    table = tmp_path / "params.csv"
    table.write_text("voltage\n" + "".join(f"{number}\n" for number in range(300)))
    options = ["--command", "echo {voltage} volts", "--id", "v{voltage}"]
    said = json.loads(type_shoal("submit", "--sweep", str(table), *options, "--json"))
    assert (said["accepted"], len(said["job_ids"])) == (300, 300)
    assert json.loads(type_shoal("status", "--json"))["counts"]["Queued"] == 300
    cancelled = json.loads(type_shoal("cancel", "v[013-9]*", "v2[7-9]*", "v2", "v2?", "--json"))
    assert {(of["Status"], of["reason"]) for of in cancelled} == {("Cancelled", "cancelled")}
    gate.touch()
    come_to_rest(site, machines)
    looked = json.loads(type_shoal("status", "v*", "--json"))
    assert (looked["paused"], looked["workers"]) == (True, 0)
    assert (looked["counts"]["Queued"], looked["counts"]["Started"]) == (70, 0)
    assert job(site, "before")["Status"] == "Successful"


def _audit(site: Deployed, type_shoal: Type) -> None:
    drain(site, f"{site.queue}-finished")
    _untell(site, "before")
    site.client("sqs").purge_queue(QueueUrl=queue_url(site, site.queue))
    said = type_shoal("doctor", code=1)
    assert "job 'before' run 1 is over, but is on no queue" in said
    assert "70 Queued jobs can't be taken" in said
    report = json.loads(type_shoal("doctor", "--fix", "--json"))
    assert [of["fixed"] for of in report["findings"]] == [True, True]
    assert type_shoal("doctor").endswith("all is well\n")
    assert [told.job_id for told in drain(site, f"{site.queue}-finished")] == ["before"]


def _untell(site: Deployed, job_id: str) -> None:
    """Put a job back to where a crash between its settlement and the telling leaves it."""
    dynamodb = site.client("dynamodb")
    lines: list[dict[str, Any]] = dynamodb.query(
        TableName=f"{site.scheduler}-records",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"settled {site.queue}"}},
    )["Items"]
    (line,) = (of for of in lines if f'"{job_id}"' in of.get("line", {}).get("S", ""))
    dynamodb.delete_item(
        TableName=f"{site.scheduler}-records", Key={"pk": line["pk"], "sk": line["sk"]}
    )
    dynamodb.update_item(
        TableName=f"{site.scheduler}-job-monitoring",
        Key={"job_id": {"S": job_id}},
        UpdateExpression="SET unsent = :unsent, unsent_in = :queue",
        ExpressionAttributeValues={
            ":unsent": {"L": [line["line"]]},
            ":queue": {"S": site.queue},
        },
    )
