"""A pipeline as its users run it: `shoal up` in each folder, real jobs from end to end."""

from __future__ import annotations

import itertools
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shoal.core.job import Status

from .step import PATIENCE_S, Step, run, start, wait_until

MakeStep = Callable[[str], Step]
RUNS = {f"job{number}": {1} for number in range(6)}


@pytest.fixture
def chain(step: MakeStep) -> list[Step]:
    """Three environments: each appends its name to the text it was given."""
    steps = [step(name) for name in ("pre", "mesh", "post")]
    for source, target in itertools.pairwise(steps):
        script = f"cat text > given; echo {target.root.name} >> given; mv given text\n"
        source.lead(target, script, 'files = ["text"]')
    return steps


@contextmanager
def supervised(step: Step) -> Iterator[subprocess.Popen[str]]:
    """`shoal up` beside the test."""
    process = start("up", step.root)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, err
    finally:
        process.kill()
        process.communicate()


def test_jobs_go_through_three_environments(chain: list[Step]) -> None:
    """What is dropped into the first comes out of the last, in its order, each job once."""
    pre, mesh, post = chain
    with supervised(pre), supervised(mesh), supervised(post):
        for name in RUNS:
            pre.put(f"{name}/text", f"{name}\n")
            pre.put(f"{name}/run.sh", "echo pre >> text\n")

        def is_over() -> bool:
            with post.client() as client:
                jobs = client.jobs(statuses=[Status.SUCCESSFUL])
            return len(jobs) == len(RUNS)

        wait_until(is_over)
    for name in RUNS:
        assert post.files(name)["text"] == f"{name}\npre\nmesh\npost\n"
    for step in (mesh, post):
        assert step.runs() == {f"{name}/next.sh": 1 for name in RUNS}
    for step in chain:
        assert step.findings() == []


def test_one_after_the_other_until_idle(chain: list[Step]) -> None:
    """`--until-idle` returns when all was passed on, so the next finds it all."""
    for name in RUNS:
        chain[0].put(f"{name}/text", f"{name}\n")
        chain[0].put(f"{name}/run.sh", "echo pre >> text\n")
    for step in chain:
        _, err = run("up", step.root, "--until-idle")
        assert f"{len(RUNS)} Successful" in err
    for name in RUNS:
        assert chain[-1].files(name)["text"] == f"{name}\npre\nmesh\npost\n"


def test_until_idle_waits_for_what_can_not_be_passed_on_yet(steps: tuple[Step, Step]) -> None:
    """With the next environment away it says so and waits; when that is back, it ends."""
    first, second = steps
    first.put("a/data")
    first.put("a/run.sh", "while [ ! -e $GO ]; do sleep 0.01; done\n")
    go = first.root.with_name("go")
    process = start("up", first.root, "--until-idle", GO=str(go))
    try:
        wait_until(lambda: first.runs() and first.job("a/run.sh").status is Status.STARTED)
        away = second.root.rename(second.root.with_name("away"))
        go.touch()
        wait_until(lambda: first.job("a/run.sh").status is Status.SUCCESSFUL)
        assert process.stderr is not None
        said = ""
        while "can't pass on to" not in said:
            said = process.stderr.readline()
            assert said, "it has ended"
        assert str(second.root) in said
        assert process.poll() is None
        away.rename(second.root)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
        assert "1 job passed on to" in err
    finally:
        process.kill()
        process.communicate()
    assert second.runs() == {"a/next.sh": 1}


def test_until_idle_does_not_wait_for_what_is_held(steps: tuple[Step, Step]) -> None:
    """A job of which nothing can be passed on is said at the end."""
    first, second = steps
    first.lead(second, more='files = ["*.msh"]')
    first.put("a/run.sh", "true\n")
    _, err = run("up", first.root, "--until-idle")
    assert "not passed on: job 'a/run.sh', run 1: no file of folder 'a' matches *.msh" in err
    assert "not passed on: 1 job; 'shoal doctor' says why" in err
    assert second.runs() == {}


def test_a_supervisor_that_was_killed_is_followed_by_another(steps: tuple[Step, Step]) -> None:
    """What nobody passed on is told by the doctor, and passed on by the next supervisor."""
    first, second = steps
    first.put("a/data")
    first.put("a/run.sh")
    first.end("a")
    (finding,) = first.findings()
    assert finding.code == "waiting"
    assert "1 Successful job not passed on" in finding.what
    with supervised(first) as process:
        wait_until(second.runs)
        process.kill()
        process.wait()
        process.returncode = 0
    first.put("b/data")
    first.put("b/run.sh")
    first.end("b")
    run("up", first.root, "--until-idle")
    assert second.runs() == {"a/next.sh": 1, "b/next.sh": 1}


def test_relay_by_options(step: MakeStep, tmp_path: Path) -> None:
    """`shoal relay` passes on where nothing is declared; files and executable are options."""
    first, second = step("first"), step("second")
    (tmp_path / "go.sh").write_text("true\n")
    first.put("a/data")
    first.put("a/other")
    first.put("a/run.sh")
    first.end("a")
    run("relay", "-e", first.root, code=2)
    words = ("relay", "-e", first.root, "--to", second.root, "--executable", tmp_path / "go.sh")
    out, err = run(*words, "--files", "d*", "--json")
    assert out == '{"passed":1,"held":[]}\n'
    assert f"1 job passed on to {second.root}" in err
    assert {*second.files("a")} == {"data", "go.sh"}
    process = start(*words, "--follow")
    first.put("b/data")
    first.put("b/run.sh")
    first.end("b")
    try:
        wait_until(lambda: second.runs() == {"a/go.sh": 1, "b/go.sh": 1})
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
    finally:
        process.kill()
        process.communicate()
