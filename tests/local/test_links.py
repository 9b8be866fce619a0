"""Symbolic links: kept where they stay inside the job folder, refused where they leave it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shoal.core.errors import BucketError
from shoal.local.bucket import LocalBucket

from .place import Place
from .stage import Stage, tree


@pytest.mark.parametrize(
    "text",
    ["data/file", "./data/../data/file", "{job}/data/file", "../job/data/file", "data"],
)
def test_a_link_inside_leads_to_the_copy(stage: Stage, text: str) -> None:
    """However a link names its target, in the work folder it leads to the target's copy there."""
    (stage.job / "data").mkdir()
    (stage.job / "data/file").write_text("original")
    (stage.job / "link").symlink_to(text.format(job=stage.job))
    stage.stage_in()
    link = stage.work / "link"
    assert link.is_symlink()
    assert str(link.resolve()).startswith(str(stage.work.resolve()))
    (stage.work / "data/file").write_text("copy, longer")
    content = link / "file" if link.is_dir() else link
    assert content.read_text() == "copy, longer"
    assert stage.stage_out() == ["data/file"]
    assert os.readlink(stage.job / "link") == text.format(job=stage.job)


def test_links_that_lead_nowhere_are_kept(stage: Stage) -> None:
    """A dangling link, and two that lead to each other, go in as they are and are no results."""
    (stage.job / "dangling").symlink_to("nothing")
    (stage.job / "a").symlink_to("b")
    (stage.job / "b").symlink_to("a")
    stage.stage_in()
    assert {name: os.readlink(stage.work / name) for name in ("dangling", "a", "b")} == {
        "dangling": "nothing",
        "a": "b",
        "b": "a",
    }
    assert stage.results() == []


@pytest.mark.parametrize("text", ["/etc/passwd", "../../secret", "..", "/", "sub/../../x"])
def test_an_input_link_that_leaves_is_refused(stage: Stage, text: str) -> None:
    """A link that leads out of the job folder ends staging, and names itself and the remedy."""
    (stage.job / "sub").mkdir()
    (stage.job / "sub2").symlink_to(text)
    with pytest.raises(BucketError, match=r"input 'sub2' is a link that leaves.*: put a copy"):
        stage.stage_in()


def test_a_link_that_leaves_through_another_is_refused(stage: Stage) -> None:
    """It is where a link leads in the end that counts."""
    (stage.job / "hop").symlink_to("jump")
    (stage.job / "jump").symlink_to("/etc")
    with pytest.raises(BucketError, match="leaves the job folder"):
        stage.stage_in()


def test_a_neighbour_with_a_longer_name_is_outside(stage: Stage) -> None:
    """`job-2` is not inside `job`."""
    (stage.job.parent / "job-2").mkdir()
    (stage.job / "link").symlink_to("../job-2")
    with pytest.raises(BucketError, match="leaves the job folder"):
        stage.stage_in()


@pytest.mark.parametrize("text", ["/etc/passwd", "../../secret", "{job}/data"])
def test_a_result_link_that_leaves_is_refused(stage: Stage, text: str) -> None:
    """A link made by an attempt that leads out of the work folder is refused."""
    (stage.job / "data").write_text("x")
    stage.stage_in()
    (stage.work / "out").symlink_to(text.format(job=stage.job))
    with pytest.raises(BucketError, match="result 'out' is a link that leaves"):
        stage.results()


def test_a_result_link_comes_back_as_the_file_it_leads_to(stage: Stage) -> None:
    """`latest -> out.1` is staged out as a file, whichever of the two comes first."""
    stage.stage_in()
    for number in range(20):
        (stage.work / f"out.{number}").write_text(f"result {number}")
        (stage.work / f"latest.{number}").symlink_to(f"out.{number}")
    assert len(stage.stage_out()) == 40
    for number in range(20):
        assert (stage.job / f"latest.{number}").read_text() == f"result {number}"
        assert not (stage.job / f"latest.{number}").is_symlink()


def test_results_do_not_go_through_a_link_in_the_job_folder(stage: Stage, tmp_path: Path) -> None:
    """Where the job folder has a link to a folder elsewhere, results are not written there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stage.stage_in()
    (stage.job / "out").symlink_to(elsewhere)
    (stage.work / "out").mkdir()
    (stage.work / "out/x").write_text("new")
    with pytest.raises(BucketError, match="'out' is no folder there"):
        stage.stage_out()
    assert tree(elsewhere) == {}


def test_a_result_replaces_a_link_and_not_its_target(stage: Stage, tmp_path: Path) -> None:
    """A result with the name of a link in the job folder takes the place of the link."""
    target = tmp_path / "target"
    target.write_text("precious")
    stage.stage_in()
    (stage.job / "out").symlink_to(target)
    (stage.work / "out").write_text("new")
    stage.stage_out()
    assert target.read_text() == "precious"
    assert (stage.job / "out").read_text() == "new"


def test_a_folder_component_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """A job folder that is a link, or lies behind one, is no job folder of this bucket."""
    bucket = LocalBucket(tmp_path / "bucket")
    (tmp_path / "real/job").mkdir(parents=True)
    bucket.root.mkdir()
    (bucket.root / "way").symlink_to(tmp_path / "real")
    for folder in ("way", "way/job"):
        with pytest.raises(BucketError):
            bucket.folder_path(folder)


def test_a_bucket_reached_through_a_link_works(tmp_path: Path) -> None:
    """The folder itself may be named by way of a link."""
    (tmp_path / "real/job").mkdir(parents=True)
    (tmp_path / "real/job/data").write_text("x")
    (tmp_path / "way").symlink_to("real")
    (tmp_path / "work").mkdir()
    LocalBucket(tmp_path / "way").stage_in("job", tmp_path / "work")
    assert tree(tmp_path / "work") == {"data": b"x"}


def test_links_end_jobs_with_the_reason(place: Place) -> None:
    """Input, result, executable and folder links that leave fail their jobs, without retries."""
    place.set(retry=5)
    place.put("in/run.sh", "echo")
    (place.root / "in/away").symlink_to("/etc/passwd")
    place.put("out/run.sh", "ln -s /etc/passwd away; echo x > other")
    (place.root / "real").mkdir()
    (place.root / "way").symlink_to("real")
    place.put("real/data", "")
    place.submit_folder("in")
    place.submit_folder("out")
    place.submit({"job_id": "way", "folder": "way", "commands": ["echo"], "retry": 3})
    place.work()
    reasons = {event.job_id: event.reason for event in place.events()}
    assert "input 'away' is a link that leaves" in reasons["in/run.sh"]
    assert "result 'away' is a link that leaves" in reasons["out/run.sh"]
    assert "there is no folder 'way'" in reasons["way"]
    assert [len(place.attempts(job_id)) for job_id in place.statuses()] == [1, 1, 1]
    assert not (place.root / "out/away").is_symlink()


def test_an_executable_that_is_a_link_is_refused(place: Place) -> None:
    """Intake and `submit` say that it is a link, wherever it leads."""
    place.put("tool/real", "echo hello")
    (place.root / "tool/run.sh").symlink_to("real")
    with pytest.raises(BucketError, match=r"'run.sh' is a link"):
        place.submit_folder("tool")
    assert "'tool/run.sh' is a link" in place.up()
    assert "'tool/run.sh' is a link" in place.events()[0].reason
    assert place.statuses() == {}
