"""Verbs that change what runs: cancel, retry, pause, resume; and workers, which shows it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from .shell import Shell, wait_until

# A tree: the job's shell, a child, and a grandchild that left the process group.
TREE = "(setsid sleep 600 & echo $! > {folder}/far; exec sleep 600) & echo $! > {folder}/near; wait"


def is_running(pid_file: Path) -> bool:
    """Whether the process of this number runs."""
    try:
        process = psutil.Process(int(pid_file.read_text()))
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_cancel_ends_a_running_job_with_its_whole_tree(shell: Shell, tmp_path: Path) -> None:
    """Cancelling a Started job ends all that it has started, and the worker goes on."""
    shell.submit("tree", TREE.format(folder=tmp_path))
    shell.up("--max-workers", "1")
    pids = [tmp_path / name for name in ("far", "near")]
    wait_until(lambda: all(pid.exists() and pid.read_text() for pid in pids), "the tree")
    assert all(is_running(pid) for pid in pids)
    said = shell.type("cancel", "tree")
    assert (said.out, said.err) == ("tree\n", "1 job cancelled\n")
    assert shell.statuses() == {"tree": "Cancelled"}
    wait_until(lambda: not any(is_running(pid) for pid in pids), "the tree to end")
    (attempt,) = shell.type_for_json("status", "tree")["attempts"]
    assert (attempt["ending"], attempt["reason"]) == ("cancelled", "cancelled")
    shell.submit("next")
    shell.type("wait", "next")


def test_cancel_takes_globs_and_leaves_what_is_over(shell: Shell) -> None:
    """A glob cancels the live jobs that it fits; an id of a job that is over is an error."""
    shell.submit("sweep-0")
    shell.run_all()
    for name in ("sweep-1", "sweep-2", "other"):
        shell.submit(name)
    cancelled = shell.type_for_json("cancel", "sweep-*")
    assert {job["job_id"] for job in cancelled} == {"sweep-1", "sweep-2"}
    assert all(job["Status"] == "Cancelled" for job in cancelled)
    assert shell.statuses() == {
        "sweep-0": "Successful",
        "sweep-1": "Cancelled",
        "sweep-2": "Cancelled",
        "other": "Queued",
    }
    error = shell.type("cancel", "sweep-0", code=2).err
    assert "'sweep-0' is Successful" in error
    assert "nothing left to cancel" in error
    shell.type("cancel", "nobody", code=2)


def test_retry_runs_what_failed_or_was_cancelled_again(shell: Shell, tmp_path: Path) -> None:
    """`retry` queues failed and cancelled jobs as a new run, which has all its retries again."""
    mended = tmp_path / "mended"
    shell.submit("bad", f"test -e {mended}", retry=1)
    shell.submit("good")
    shell.run_all()
    assert shell.statuses() == {"bad": "Failed", "good": "Successful"}
    mended.touch()
    assert shell.type("retry", "*").out == "bad\n"
    job = shell.type_for_json("status", "bad")
    assert (job["Status"], job["run"], job["Retries"]) == ("Queued", 2, "0 of 1")
    shell.run_all()
    job = shell.type_for_json("status", "bad")
    assert (job["Status"], job["run"]) == ("Successful", 2)
    assert [(a["run"], a["attempt"]) for a in job["attempts"]] == [(1, 1), (1, 2), (2, 1)]
    assert "submit it again" in shell.type("retry", "good", code=2).err


def test_pause_holds_jobs_back_until_resume(shell: Shell) -> None:
    """During a pause nothing starts, not even through a worker that idles; `resume` ends it."""
    shell.up("--max-workers", "1")
    shell.type("pause")
    shell.submit("a")
    assert shell.type("status").out.splitlines()[0].endswith("paused")
    assert shell.type_for_json("status")["paused"] is True
    shell.type("wait", "--timeout", "0.3", code=1)
    assert shell.statuses() == {"a": "Queued"}
    shell.type("resume")
    shell.wait()
    assert shell.type_for_json("status")["paused"] is False


def test_workers_come_with_jobs_and_leave_without(shell: Shell) -> None:
    """`workers` lists who works on what; without jobs there are none, and that is said."""
    up = shell.up("--max-workers", "2")
    assert shell.type_for_json("workers") == []
    for name in ("a", "b", "c"):
        shell.submit(name, "exec sleep 600")
    wait_until(lambda: len(shell.type_for_json("workers")) == 2, "two workers")
    wait_until(lambda: list(shell.statuses().values()).count("Started") == 2, "two jobs to start")
    workers = shell.type_for_json("workers")
    assert {worker["job_id"] for worker in workers} == {"a", "b"}
    assert all(psutil.Process(worker["pid"]).ppid() == up.pid for worker in workers)
    shell.type("cancel", "*")
    wait_until(lambda: shell.type_for_json("workers") == [], "the workers to leave")
    assert "no workers" in shell.type("workers").err


def test_a_killed_worker_costs_its_job_no_retry(shell: Shell, tmp_path: Path) -> None:
    """A job whose worker was killed runs again elsewhere, and its retries are untouched."""
    script = f"test $SHOAL_ATTEMPT = 2 || {{ touch {tmp_path}/begun; exec sleep 600; }}"
    shell.submit("a", script)
    shell.up("--max-workers", "1")
    wait_until((tmp_path / "begun").exists, "the job to begin")
    (worker,) = shell.type_for_json("workers")
    os.kill(worker["pid"], signal.SIGKILL)
    shell.wait()
    job = shell.type_for_json("status", "a")
    assert (job["Status"], job["Retries"], job["interruptions"]) == ("Successful", "0 of 0", 1)
    first, second = job["attempts"]
    assert (first["ending"], first["instance_id"]) == ("interrupted", worker["instance_id"])
    assert (second["ending"], second["instance_id"] == first["instance_id"]) == (
        "successful",
        False,
    )
