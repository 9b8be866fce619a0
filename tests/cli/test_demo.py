"""`shoal demo`: the whole story, with fewer corners; and that it would notice if it went wrong."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from msgspec.structs import replace

import shoal
from shoal.core.job import Ending, Finished, Job, Status
from shoal.demo.audit import problems
from shoal.demo.example import WHERE, Example
from shoal.demo.look import look
from shoal.demo.story import Facts, Kill
from shoal.ports import Worker

from .shell import PATIENCE_S, Shell, made_once, wait_until

CORNERS = 6
ROOT = Path(__file__).resolve().parents[2]


def show(root: Path) -> None:
    """Run a demo; beside its folder, keep what it said."""
    shell = Shell(root)
    said = shell.type("demo", "--corners", str(CORNERS), "--folder", str(shell.folder))
    assert said.err == ""
    assert shell.processes() == []
    (root / "said").write_text(said.out)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell in the folder that a demo has left."""
    return Shell(made_once(tmp_path_factory, "demo", show))


@pytest.fixture
def facts(shown: Shell) -> Facts:
    """What can be read back from the environment of the demo."""
    with shown.client() as client:
        last = look(client, time.time())
        attempts = {job_id: client.attempts(job_id) for job_id in last.jobs}
        return Facts(
            look=last,
            attempts=attempts,
            settlements=list(client.settlements()),
            delays_ps=Example(CORNERS).delays_ps(shown.folder),
            kills=[
                Kill(attempt.worker, 1, 0.1, attempt.ended_at)
                for of_job in attempts.values()
                for attempt in of_job
                if attempt.ending == Ending.INTERRUPTED
            ],
            leftovers=[],
            most_workers=2,
            most_queued=1,
            up_exit=0,
            took_s=1.0,
        )


def test_the_demo_tells_the_whole_story(shown: Shell) -> None:
    """It shows workers from zero, a retry, a killed worker, its job elsewhere, and zero again."""
    out = (shown.folder.parent / "said").read_text()
    order = (
        *("workers: 0", f"dropping {CORNERS} job folders in", "workers 0 -> ", "failed: exit"),
        *("SIGKILL to worker", "was interrupted, the job queued again", "starts again on"),
        *("is Successful on", "-> 0", "Results: delay in ps", "The killed worker"),
        *(f"shoal status -e {shown.folder}", f"All {CORNERS} jobs are Successful"),
    )
    place = 0
    for part in order:
        place = out.find(part, place)
        assert place >= 0, f"{part!r} is missing, or too early"


def test_the_demo_leaves_what_it_says(shown: Shell) -> None:
    """After it the environment holds all jobs Successful, their results, and no worker."""
    corners = Example(CORNERS).corners
    assert shown.statuses() == {f"{corner.name}/run.sh": "Successful" for corner in corners}
    for corner in corners:
        assert (shown.folder / corner.name / "result.json").stat().st_size > 0
    shown.type("wait")
    assert shown.type_for_json("workers") == []


def test_its_two_special_jobs_are_what_they_seem(facts: Facts) -> None:
    """One job failed once and was retried; one was interrupted, and finished by another worker."""
    (retried,) = facts.retried
    assert retried.retries == "1 of 2"
    ((kill, job, _),) = facts.interrupted
    assert (job.interruptions, job.status) == (1, Status.SUCCESSFUL)
    last = facts.attempts[job.job_id][-1]
    assert last.ending == Ending.SUCCESSFUL
    assert last.worker != kill.worker


def test_a_good_story_has_no_problems(facts: Facts) -> None:
    """What the demo left behind passes its own audit."""
    assert problems(facts, Example(CORNERS).corners) == []


def test_the_audit_notices_all_that_can_be_wrong(facts: Facts) -> None:
    """Each thing that is not as it should be is found, and named."""
    corners = Example(CORNERS).corners
    ((kill, job, _),) = facts.interrupted
    assert isinstance(job.state, Finished)
    jobs = facts.look.jobs

    def with_job(changed: Job) -> Facts:
        return facts._replace(look=facts.look._replace(jobs={**jobs, job.job_id: changed}))

    failed = replace(job.state, status=Status.FAILED)
    elsewhere = [replace(of, worker=kill.worker) for of in facts.attempts[job.job_id]]
    stranger = Worker(worker="w-1", pid=1, started_at=0.0, host="here")
    fewer = {name: of for name, of in jobs.items() if name != job.job_id}
    wrong: list[tuple[Facts, str]] = [
        (with_job(replace(job, state=failed)), "is Failed"),
        (with_job(replace(job, failures=1)), "has used up a retry"),
        (facts._replace(look=facts.look._replace(jobs=fewer)), f"{CORNERS - 1} jobs"),
        (facts._replace(settlements=facts.settlements[1:]), "was settled 0 times"),
        (facts._replace(settlements=facts.settlements * 2), "was settled 2 times"),
        (facts._replace(delays_ps={}), "has no result"),
        (facts._replace(kills=[]), "no worker was killed"),
        (facts._replace(leftovers=[7]), "process 7"),
        (facts._replace(up_exit=3), "exit code 3"),
        (facts._replace(up_exit=None), "did not end"),
        (
            facts._replace(attempts={**facts.attempts, job.job_id: elsewhere}),
            "finished by the killed worker",
        ),
        (
            facts._replace(look=facts.look._replace(workers={"w-1": stranger})),
            "worker w-1 is still there",
        ),
    ]
    for state, says in wrong:
        assert any(says in problem for problem in problems(state, corners)), says
    none_fails = [corner._replace(fail_once=False) for corner in corners]
    assert any("should not have failed" in problem for problem in problems(facts, none_fails))


def test_the_demo_moves_on_a_terminal(shell: Shell) -> None:
    """On a terminal it draws how things stand, in colours, and --no-keep leaves nothing behind."""
    folder = shell.folder / "demo"
    seen = shell.see_on_terminal("demo", "--corners", "2", "--no-keep", "--folder", str(folder))
    assert "of 2 over" in seen
    assert "\x1b[32m" in seen
    assert "All 2 jobs are Successful" in seen
    assert not folder.exists()
    assert shell.processes() == []


def test_an_interrupted_demo_ends_its_processes(shell: Shell) -> None:
    """Ctrl-C in mid-run ends the demo with code 130, its workers and its supervisor."""
    demo = shell.start("demo", "--folder", str(shell.folder))
    assert demo.stdout is not None
    while "workers 0 -> " not in (line := demo.stdout.readline()):
        assert line
    demo.send_signal(signal.SIGINT)
    _, error = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 130
    assert str(shell.folder) in error
    wait_until(lambda: not shell.processes(), "the processes to end")


def test_a_folder_with_something_in_it_is_refused(shell: Shell) -> None:
    """The demo takes a new or empty folder only, and touches no other."""
    (shell.folder / "mine.txt").write_text("mine")
    error = shell.type("demo", "--folder", str(shell.folder), code=2).err
    assert "is not empty" in error
    assert [path.name for path in shell.folder.iterdir()] == ["mine.txt"]


def test_a_demo_that_cannot_go_on_says_why(shell: Shell) -> None:
    """When `shoal up` ends too early, the demo ends with 1 and names the file that says why."""
    demo = shell.start("demo", "--folder", str(shell.folder))
    assert demo.stdout is not None
    line = demo.stdout.readline()
    pid = int(line.partition("(process ")[2].partition(")")[0])
    os.kill(pid, signal.SIGKILL)
    _, error = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 1
    assert "'shoal up' ended too early" in error
    assert "up.log" in error
    wait_until(lambda: not shell.processes(), "the processes to end")


def test_the_example_is_found_in_an_installed_package(tmp_path: Path) -> None:
    """Where the wheel puts the example, the demo finds it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included[str(WHERE)] == f"shoal/{WHERE}"
    package = Path(shoal.__file__).parent
    shutil.copytree(package, tmp_path / "shoal", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / WHERE, tmp_path / "shoal" / WHERE)
    found = subprocess.run(
        [sys.executable, "-c", "from shoal.demo.example import *; print(find_example())"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(tmp_path / "shoal" / WHERE)
