"""Staging in and out: what a work folder gets from a job folder, and what comes back."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from shoal.core.errors import BucketError
from shoal.local.bucket import LocalBucket, remove_tree

from .stage import Stage, tree

NAMES = [
    "plain",
    "with space",
    " ",
    "-rf",
    "ünïcödé-日本-🐟",
    "new\nline",
    "tab\tbell\a",
    "$(touch gone) `x`; 'q' \"q\" \\",
    "...",
    "~",
    os.fsdecode(b"not-utf8-\xff\xfe"),
    "x" * 255,
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_file_name_is_staged_both_ways(stage: Stage, name: str) -> None:
    """A name that the file system allows goes in as input and comes out as result unchanged."""
    (stage.job / name).write_text("in")
    stage.stage_in()
    assert (stage.work / name).read_text() == "in"
    (stage.work / name).write_text("out, longer")
    deep = stage.work / "below" / name
    deep.mkdir(parents=True)
    (deep / name).write_text("new")
    assert stage.stage_out() == sorted([name, f"below/{name}/{name}"])
    assert (stage.job / name).read_text() == "out, longer"
    assert (stage.job / "below" / name / name).read_text() == "new"


def test_nested_and_empty_files_and_folders_go_in(stage: Stage) -> None:
    """The work folder holds all of the job folder, empty files and folders included."""
    (stage.job / "a/b/c").mkdir(parents=True)
    (stage.job / "empty/er").mkdir(parents=True)
    (stage.job / "a/b/c/file").write_text("deep")
    (stage.job / "a/zero").touch()
    stage.stage_in()
    assert tree(stage.work) == tree(stage.job)
    assert stage.results() == []


def test_modes_and_times_are_kept_both_ways(stage: Stage) -> None:
    """A file keeps its mode and its time to the nanosecond, staged in and staged out."""
    given = stage.job / "tool"
    given.write_text("x")
    given.chmod(0o751)
    os.utime(given, ns=(10**18 + 1, 10**18 + 123))
    stage.stage_in()
    copy = (stage.work / "tool").stat()
    assert (stat.S_IMODE(copy.st_mode), copy.st_mtime_ns) == (0o751, 10**18 + 123)
    made = stage.work / "made"
    made.write_text("y")
    made.chmod(0o604)
    os.utime(made, ns=(5, 10**17 + 7))
    assert stage.stage_out() == ["made"]
    back = (stage.job / "made").stat()
    assert (stat.S_IMODE(back.st_mode), back.st_mtime_ns) == (0o604, 10**17 + 7)


def test_what_cannot_be_copied_is_left_alone(stage: Stage) -> None:
    """Pipes and sockets are neither staged in nor out, and nobody waits on them."""
    os.mkfifo(stage.job / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        # A path that fits: the address of a socket is short.
        here = os.open(stage.job, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        stage.stage_in()
    assert tree(stage.work) == {}
    os.mkfifo(stage.work / "result-pipe")
    assert stage.stage_out() == []
    assert stat.S_ISFIFO((stage.job / "pipe").stat().st_mode)


def test_ten_thousand_files(stage: Stage) -> None:
    """A folder of 10,000 files goes in and its changes come out, each in its place."""
    for number in range(10_000):
        folder = stage.job / f"{number % 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}").write_bytes(b"%d" % number)
    stage.stage_in()
    assert sum(len(files) for _, _, files in os.walk(stage.work)) == 10_000
    assert stage.results() == []
    for number in range(0, 10_000, 100):
        (stage.work / "0" / f"{number}").write_bytes(b"changed %d" % number)
    assert len(stage.stage_out()) == 100
    assert (stage.job / "0" / "9900").read_bytes() == b"changed 9900"
    assert (stage.job / "1" / "9901").read_bytes() == b"9901"


def test_a_rewrite_with_size_and_time_set_back_is_found(stage: Stage) -> None:
    """A file changed in place is a result though its size and modification time are as before."""
    (stage.job / "data").write_text("before")
    stage.stage_in()
    copy = stage.work / "data"
    status = copy.stat()
    copy.write_text("AFTER!")
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert stage.stage_out() == ["data"]
    assert (stage.job / "data").read_text() == "AFTER!"


def test_the_same_rewrite_is_found_in_the_next_attempt_too(stage: Stage) -> None:
    """Two attempts that differ in content alone are told apart: no comparison is remembered."""
    (stage.job / "data").write_text("before")
    stage.stage_in()
    copy = stage.work / "data"
    status = copy.stat()
    copy.chmod(0o600)
    assert stage.results() == []
    remove_tree(stage.work)
    stage.work.mkdir()
    stage.stage_in()
    copy.write_text("AFTER!")
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert stage.results() == ["data"]


def test_a_change_of_mode_alone_is_no_result(stage: Stage) -> None:
    """`chmod` on an input does not make it a result."""
    (stage.job / "tool").write_text("x")
    stage.stage_in()
    (stage.work / "tool").chmod(0o777)
    assert stage.results() == []


def test_a_deleted_input_stays_in_the_job_folder(stage: Stage) -> None:
    """What an attempt deletes in its work folder is not deleted in the job folder."""
    (stage.job / "keep/me").mkdir(parents=True)
    (stage.job / "keep/file").write_text("x")
    stage.stage_in()
    remove_tree(stage.work / "keep")
    assert stage.stage_out() == []
    assert (stage.job / "keep/file").read_text() == "x"
    assert (stage.job / "keep/me").is_dir()


def test_an_input_that_the_user_changed_meanwhile_is_not_overwritten(stage: Stage) -> None:
    """The user's newer input stands when the attempt did no more than `chmod` its old copy."""
    for name in ("replaced", "rewritten", "removed"):
        (stage.job / name).write_text("old")
    stage.stage_in()
    for name in ("replaced", "rewritten", "removed"):
        (stage.work / name).chmod(0o700)
    (stage.job / "new").write_text("new")
    (stage.job / "new").rename(stage.job / "replaced")
    (stage.job / "rewritten").write_text("new")
    (stage.job / "removed").unlink()
    assert stage.stage_out() == []
    assert tree(stage.job) == {"replaced": b"new", "rewritten": b"new"}


def test_an_input_changed_by_both_is_the_attempts(stage: Stage) -> None:
    """A result replaces what the user has put in its place meanwhile."""
    (stage.job / "data").write_text("old")
    stage.stage_in()
    (stage.job / "data").write_text("the user's")
    (stage.work / "data").write_text("the attempt's")
    assert stage.stage_out() == ["data"]
    assert (stage.job / "data").read_text() == "the attempt's"


def test_a_result_named_like_a_folder_is_refused(stage: Stage) -> None:
    """A file where the job folder has a folder is an error, and the folder stays."""
    stage.stage_in()
    (stage.job / "out").mkdir()
    (stage.job / "out/precious").write_text("x")
    (stage.work / "out").write_text("file")
    with pytest.raises(BucketError, match="'out' has the name of a folder"):
        stage.stage_out()
    assert (stage.job / "out/precious").read_text() == "x"


def test_a_result_below_a_name_that_is_a_file_is_refused(stage: Stage) -> None:
    """A folder of results where the job folder has a file is an error, and the file stays."""
    stage.stage_in()
    (stage.job / "out").write_text("precious")
    (stage.work / "out").mkdir()
    (stage.work / "out/x").write_text("new")
    with pytest.raises(BucketError, match="'out' is no folder there"):
        stage.stage_out()
    assert (stage.job / "out").read_text() == "precious"


def test_an_unfinished_copy_is_neither_input_nor_result(stage: Stage) -> None:
    """Files that Shoal itself is still writing are passed over."""
    (stage.job / ".77.shoal-part").write_text("half")
    stage.stage_in()
    assert tree(stage.work) == {}
    (stage.work / ".78.shoal-part").write_text("half")
    assert stage.results() == []


def test_removing_a_tree_whatever_its_modes(tmp_path: Path) -> None:
    """A folder is removed with folders in it that their owner has shut."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    root = tmp_path / "root"
    (root / "a/b/c").mkdir(parents=True)
    (root / "a/b/c/file").write_text("x")
    (root / "link").symlink_to(outside)
    for folder in ("a/b/c", "a/b", "a", "."):
        (root / folder).chmod(0)
    remove_tree(root)
    assert not root.exists()
    assert stat.S_IMODE(outside.stat().st_mode) == 0o500


def test_a_folder_from_outside_is_copied_executable_last(tmp_path: Path) -> None:
    """A folder put into the bucket is complete; a second one of its name is refused, untouched."""
    bucket = LocalBucket(tmp_path / "bucket")
    bucket.root.mkdir()
    source = tmp_path / "mine"
    (source / "empty").mkdir(parents=True)
    (source / "run.sh").write_text("echo")
    (source / "data").write_text("1")
    seen_before: list[str] = []
    bucket.put_folder(
        source, "mine", ["run.sh"], lambda: seen_before.extend(os.listdir(bucket.root / "mine"))
    )
    assert sorted(seen_before) == ["data", "empty"]
    assert tree(bucket.root / "mine") == tree(source)
    assert bucket.version(bucket.path("mine/run.sh")) == bucket.version(source / "run.sh")
    (source / "data").write_text("2")
    with pytest.raises(BucketError, match="has a folder 'mine' already"):
        bucket.put_folder(source, "mine", ["run.sh"], lambda: pytest.fail("too early"))
    assert (bucket.root / "mine/data").read_text() == "1"


def test_a_folder_that_cannot_be_taken_leaves_nothing(tmp_path: Path) -> None:
    """A folder with a link that leaves it is refused, and no part of it stays in the bucket."""
    bucket = LocalBucket(tmp_path / "bucket")
    bucket.root.mkdir()
    source = tmp_path / "mine"
    source.mkdir()
    (source / "run.sh").write_text("echo")
    (source / "away").symlink_to("/etc/hostname")
    with pytest.raises(BucketError, match="'away' is a link that leaves"):
        bucket.put_folder(source, "mine", ["run.sh"], lambda: None)
    assert list(bucket.root.iterdir()) == []
