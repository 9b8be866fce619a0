"""`shoal report`: a file about what really happened, wherever it is asked for."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import shoal
from shoal.core.job import Started

from .shell import Shell, until, wait_until


@pytest.fixture
def lived(shell: Shell) -> Shell:
    """An environment in which jobs succeeded, failed, were retried, and lost their worker."""
    go = shell.folder / "go"
    shell.submit("long", until(go), batch="b1")
    shell.submit("fails", "echo out of licences 17; exit 3", retry=1, batch="b1")
    seen = shell.folder / "seen"
    shell.submit("flaky", f"test -e '{seen}' || {{ touch '{seen}'; exit 4; }}", retry=1, batch="b2")
    shell.submit("<i>fine</i>", batch="b2")
    up = shell.up("--max-workers", "2")
    with shell.client() as client:

        def runner() -> str | None:
            state = client.job("long").state
            return state.lease.worker if isinstance(state, Started) else None

        wait_until(runner, "the long job to run")
        (pid,) = [of.pid for of in client.workers() if of.worker == runner()]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: client.job("long").interruptions == 1, "its interruption")
    go.touch()
    shell.wait()
    up.terminate()
    up.wait()
    return shell


def test_a_report_about_a_real_run(lived: Shell) -> None:
    """All of it in one file; parts of it by glob and batch; figures for programs; to a pipe."""
    said = lived.type("report", "--title", "The <run>")
    assert said.out.startswith("4 jobs in ")
    assert ": 3 Successful, 1 Failed;" in said.out
    assert said.err == "The report is in shoal-report.html.\n"
    page = (lived.folder / "shoal-report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<h1>The &lt;run&gt;</h1>" in page
    for expected in (
        said.out.strip().partition("the workers")[0],
        "exit code 3, last output: out of licences 17",
        "is gone",
        "&lt;i&gt;fine&lt;/i&gt;",
        'class="mark"',
    ):
        assert expected in page
    assert "<i>" not in page

    figures = lived.type_for_json("report")
    assert (figures["counts"]["Successful"], figures["counts"]["Failed"]) == (3, 1)
    assert figures["attempts"] == 4 + 2 + 1
    assert figures["retries"]["failed_attempts"] == 3
    assert figures["retries"]["saved"] == 1
    assert figures["interruptions"]["attempts"] == 1
    assert figures["cost"]["lines"] == []
    assert len(figures["workers"]) >= 2

    assert lived.type_for_json("report", "f*")["jobs"] == 2
    assert lived.type_for_json("report", "--batch", "b1")["jobs"] == 2
    piped = lived.type("report", "--batch", "b1", "-o", "-", "--hourly-price", "2")
    assert piped.err == ""
    assert piped.out.startswith("<!doctype html>")
    assert "<h1>Batch b1</h1>" in piped.out
    assert "machine hours" in piped.out


def test_reports_that_cannot_be_made(shell: Shell, tmp_path: Path) -> None:
    """Without jobs, for a job that is not there, or to where nothing can be written."""
    shell.submit("a")
    assert "no job 'b'" in shell.type("report", "b", code=2).err
    assert "batch 'b'" in shell.type("report", "--batch", "b", code=2).err
    where = tmp_path / "nowhere" / "report.html"
    assert str(where) in shell.type("report", "-o", str(where), code=3).err
    assert "is a directory" in shell.type("report", "-o", str(tmp_path), code=2).err
    assert not (shell.folder / "shoal-report.html").exists()
    assert "none of them over" in shell.type("report").out


def test_no_jobs_no_report(shell: Shell) -> None:
    """An environment without jobs says what brings some."""
    shoal.connect(shell.folder).close()
    error = shell.type("report", code=2).err
    assert "there is no job to report on" in error
    assert "'shoal submit'" in error


@pytest.mark.parametrize("price", ["nan", "inf"])
def test_a_price_that_is_none_is_refused(shell: Shell, price: str) -> None:
    """Before anything is written."""
    shell.submit("a")
    said = shell.type("report", "--hourly-price", price, code=2)
    assert "Invalid value for '--hourly-price'" in said.err
    assert not (shell.folder / "shoal-report.html").exists()
