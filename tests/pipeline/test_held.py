"""Jobs that can't be passed on: they are held with the reason, and others go past them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from shoal.core.job import Status

from .step import Step, run

Steps = tuple[Step, Step]


def ended(first: Step, *folders: str) -> None:
    for folder in folders:
        first.put(f"{folder}/run.sh")
        first.put(f"{folder}/data")
        first.end(folder)


def test_a_job_without_a_file_that_matches_is_held(steps: Steps) -> None:
    """It is said once, the doctor knows it, others go past it, and it goes when it can."""
    first, second = steps
    first.lead(second, more='files = ["*.msh"]')
    ended(first, "bad", "good")
    first.put("good/a.msh")
    assert first.pass_on() == 1
    assert first.pass_on() == 0
    assert second.runs() == {"good/next.sh": 1}
    (said,) = (line for line in first.said if "not passed on" in line)
    assert "job 'bad/run.sh', run 1: no file of folder 'bad' matches *.msh" in said
    (finding,) = first.findings()
    assert finding.code == "held"
    assert "'bad/run.sh', run 1, is not passed on" in finding.what
    first.put("bad/late.msh", "late")
    assert first.pass_on() == 1
    assert second.files("bad") == {"late.msh": "late", "next.sh": "true\n"}
    assert first.findings() == []


def test_a_job_does_not_replace_one_of_another_environment(
    step: Callable[[str], Step],
) -> None:
    """Where two lead to one, job folders of one name go on one after the other."""
    first, other, second = step("first"), step("other"), step("second")
    for one in (first, other):
        one.lead(second)
        one.put("a/run.sh")
        one.put("a/data", one.root.name)
        one.end("a")
    assert (first.pass_on(), other.pass_on()) == (1, 0)
    assert any("'a/next.sh' came there from another environment" in line for line in other.said)
    assert second.files("a")["data"] == "first"
    with second.client() as client:
        second.end_next(client)
    assert other.pass_on() == 1
    assert second.files("a")["data"] == "other"
    with second.client() as client:
        statuses = [line.status for line in client.settlements()]
    assert statuses == [Status.SUCCESSFUL]


def test_a_new_run_takes_the_place_of_one_that_is_held(steps: Steps) -> None:
    """When a job runs again and can go on, its earlier run has nothing more to pass on."""
    first, second = steps
    first.lead(second, more='files = ["*.msh"]')
    ended(first, "a")
    first.pass_on()
    first.put("a/a.msh")
    first.put("a/run.sh", "better\n")
    first.end("a")
    first.put("a/run.sh", "worse\n")
    assert first.pass_on() == 1
    assert second.runs() == {"a/next.sh": 1}
    assert first.pass_on() == 0


def test_what_is_held_can_be_dropped(steps: Steps) -> None:
    """`shoal relay` ends with 1 while something is held; `--drop` gives that up, and says what."""
    first, second = steps
    first.lead(second, more='files = ["*.msh"]')
    ended(first, "a")
    out, err = run("relay", "-e", first.root, "--json", code=1)
    assert '"passed":0,"held":[{"job_id":"a/run.sh","run":1' in out
    assert "no file of folder 'a' matches" in err
    assert (
        "held: job 'a/run.sh', run 1, is not passed on"
        in run("doctor", "-e", first.root, code=1)[0]
    )
    assert "dropped: job 'a/run.sh', run 1" in run("relay", "-e", first.root, "--drop")[0]
    assert "nothing new" in run("relay", "-e", first.root)[1]
    assert "all is well" in run("doctor", "-e", first.root)[0]
    assert second.runs() == {}


HOSTILE = ("-rf", "a b", "new\nline", "q'\"uote", "ünï", "$(id)", "..dots", "%s{}", "\udcff\udcfe")


def test_names_are_only_names(steps: Steps) -> None:
    """Names that a shell or a format would take for something else are passed on as they are."""
    first, second = steps
    for name in HOSTILE[:-1]:
        first.put(f"a/{name}/{name}", name)
    (first.root / "a" / HOSTILE[-1]).write_text("bytes")
    first.put("a/run.sh")
    first.put("<b> [x]*/ü/run.sh")
    first.put("<b> [x]*/ü/data", "d")
    first.end("a")
    first.end("<b> [x]*/ü")
    assert first.pass_on() == 2
    assert second.files("a") == {
        **{f"{name}/{name}": name for name in HOSTILE[:-1]},
        HOSTILE[-1]: "bytes",
        "next.sh": "true\n",
    }
    assert second.runs() == {"a/next.sh": 1, "<b> [x]*/ü/next.sh": 1}


def test_links_go_as_what_they_lead_to_and_never_outside(steps: Steps, tmp_path: Path) -> None:
    """A link to a file is passed on as the file; one that leaves its folder holds its job."""
    first, second = steps
    (tmp_path / "secret").write_text("secret")
    ended(first, "in", "out", "dangling")
    (first.root / "in/latest").symlink_to("data")
    (first.root / "in/folder").mkdir()
    (first.root / "in/folder/file").write_text("f")
    (first.root / "in/same").symlink_to("folder")
    os.mkfifo(first.root / "in/pipe")
    (first.root / "out/leaves").symlink_to(tmp_path / "secret")
    (first.root / "dangling/lost").symlink_to("nowhere")
    assert first.pass_on() == 1
    assert second.files("in") == {
        "data": "x\n",
        "latest": "x\n",
        "folder/file": "f",
        "next.sh": "true\n",
    }
    assert not (second.root / "in/latest").is_symlink()
    assert sorted(path.name for path in (second.root / "in").iterdir()) == [
        "data",
        "folder",
        "latest",
        "next.sh",
    ]
    assert {of.what.split("'")[1] for of in first.findings()} == {"out/run.sh", "dangling/run.sh"}


def test_what_is_in_the_way_holds_its_job_alone(steps: Steps, tmp_path: Path) -> None:
    """A link, a file or a folder in the way is left as it is, and nothing goes through it."""
    first, second = steps
    ended(first, "link", "file", "deep/file", "folder", "inner", "good")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (second.root / "link").symlink_to(elsewhere)
    second.put("file")
    second.put("deep", "a file")
    second.put("folder/data/precious")
    first.put("inner/sub/file")
    (second.root / "inner").mkdir()
    (second.root / "inner/sub").symlink_to(elsewhere)
    assert first.pass_on() == 1
    assert second.runs() == {"good/next.sh": 1}
    assert len(first.findings()) == 5
    assert list(elsewhere.iterdir()) == []
    assert second.files("folder")["data/precious"] == "x\n"
    assert not list(second.root.rglob("*.shoal-part"))
    (second.root / "file").unlink()
    assert first.pass_on() == 1


def test_a_name_too_long_for_the_next_job_holds_it(steps: Steps) -> None:
    """A job id over 1,024 bytes is none, there as here."""
    first, _ = steps
    folder = "/".join(["d" * 200] * 5)
    first.put(f"{folder}/r.sh")
    first.put(f"{folder}/data")
    name = "n" * 60 + ".sh"
    first.layout.settings.write_text(first.layout.settings.read_text().replace("next.sh", name))
    (first.layout.own / "next.sh").rename(first.layout.own / name)
    first.end(folder)
    assert first.pass_on() == 0
    (finding,) = first.findings()
    assert "1,024 bytes" in finding.what


def test_a_full_disk_is_waited_for(steps: Steps, tmp_path: Path) -> None:
    """No room in the next environment holds up all jobs, and loses none."""
    first, _ = steps
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "shoal-test", disk],
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip("can't mount a tmpfs here")
    try:
        second = Step(disk / "second")
        first.lead(str(second.root))
        ended(first, "small")
        first.put("big/data", "x" * (5 << 20))
        first.put("big/run.sh")
        first.end("big")
        with pytest.raises(OSError, match="No space left"):
            first.pass_on()
        assert second.runs() == {"small/next.sh": 1}
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        assert first.pass_on() == 1
        assert second.job("big/next.sh").status is Status.QUEUED
        assert second.job("small/next.sh").run == 1
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
