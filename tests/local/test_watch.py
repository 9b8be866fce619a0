"""The intake watch: an executable is found when it is completely there, and never before."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from shoal.job_folder import problem_with

from .watched import QUIET_S, Watched


def test_an_upload_still_being_written_is_not_found(watched: Watched) -> None:
    """A file is found when its writer closes it, however long the writer pauses."""
    (watched.root / "job").mkdir()
    assert watched.found() == []
    with (watched.root / "job/run.sh").open("w") as upload:
        assert watched.found() == []
        upload.write("echo 1\n")
        upload.flush()
        assert watched.found() == []
        assert watched.found(later_s=QUIET_S * 3) == []
        upload.write("echo 2\n")
        upload.flush()
        assert watched.found(later_s=QUIET_S * 9) == []
    assert watched.found() == ["job/run.sh"]
    assert watched.found(later_s=QUIET_S * 99) == []


def test_a_second_writer_keeps_it_from_being_found(watched: Watched) -> None:
    """A file that anybody still has open for writing is not complete."""
    path = watched.put("job/run.sh")
    with path.open("a") as other:
        assert watched.found(later_s=QUIET_S * 9) == []
        other.write("more")
    assert watched.found() == ["job/run.sh"]


def test_a_reader_does_not_keep_it_from_being_found(watched: Watched) -> None:
    """Whoever only reads a file holds nothing up."""
    path = watched.put("job/run.sh")
    with path.open():
        assert watched.found() == ["job/run.sh"]


def test_an_atomic_rename_is_found_at_once(watched: Watched) -> None:
    """A file moved to its name is complete, from inside the folder or from elsewhere."""
    (watched.root / "job").mkdir()
    inside = watched.put("job/upload.tmp")
    elsewhere = watched.root.parent / "elsewhere"
    elsewhere.write_text("echo")
    assert watched.found() == []
    inside.rename(watched.root / "job/a.sh")
    elsewhere.rename(watched.root / "job/b.sh")
    assert watched.found() == ["job/a.sh", "job/b.sh"]


def test_files_from_before_are_found(watched: Watched) -> None:
    """What was uploaded while nobody watched is found at the first look."""
    watched.put("a/b/c/run.sh")
    watched.put("a/other.run")
    again = Watched(watched.root)
    assert again.found() == ["a/b/c/run.sh", "a/other.run"]
    again.watch.close()


def test_a_file_from_before_that_is_still_written_is_not_found(watched: Watched) -> None:
    """At the first look, too, an open upload is incomplete."""
    path = watched.put("job/run.sh")
    with path.open("a") as upload:
        again = Watched(watched.root)
        assert again.found(later_s=QUIET_S * 9) == []
        upload.write("more")
    assert again.found() == ["job/run.sh"]
    again.watch.close()


def test_a_deep_tree_that_appears_at_once_is_found(watched: Watched) -> None:
    """Folders that are made, copied or moved in are watched with all below them."""
    watched.put("new/x/y/z/run.sh")
    away = watched.root.parent / "away"
    (away / "p/q").mkdir(parents=True)
    (away / "p/q/run.sh").write_text("echo")
    shutil.copytree(away, watched.root / "copied")
    away.rename(watched.root / "moved")
    assert watched.found() == ["copied/p/q/run.sh", "moved/p/q/run.sh", "new/x/y/z/run.sh"]
    for folder in ("copied", "moved"):
        watched.put(f"{folder}/p/q/second.sh")
    assert watched.found() == ["copied/p/q/second.sh", "moved/p/q/second.sh"]


def test_a_renamed_folder_is_known_by_its_new_name(watched: Watched) -> None:
    """After a folder was renamed, what arrives in it is found under the new name."""
    watched.put("old/sub/data", "x")
    assert watched.found() == []
    (watched.root / "old").rename(watched.root / "new")
    assert watched.found() == []
    watched.put("new/sub/run.sh")
    assert watched.found() == ["new/sub/run.sh"]


def test_a_folder_removed_and_made_again_is_watched(watched: Watched) -> None:
    """A folder that comes back under its name is watched like a new one."""
    watched.put("job/run.sh")
    assert watched.found() == ["job/run.sh"]
    shutil.rmtree(watched.root / "job")
    assert watched.found() == []
    watched.put("job/run.sh", "echo again")
    assert watched.found() == ["job/run.sh"]


def test_hard_links_are_found_when_quiet(watched: Watched) -> None:
    """A link made to a file elsewhere is found, though it is never closed here."""
    (watched.root / "job").mkdir()
    assert watched.found() == []
    source = watched.root.parent / "source"
    source.write_text("echo")
    (watched.root / "job/run.sh").hardlink_to(source)
    assert watched.found() == []
    assert watched.found(later_s=QUIET_S * 2) == ["job/run.sh"]


def test_a_rewritten_file_is_found_with_a_new_version(watched: Watched) -> None:
    """A file written again is found again, under another version; opened and closed, under the
    same."""
    path = watched.put("job/run.sh", "echo 1")
    [first] = watched.take()
    with path.open("a"):
        pass
    [same] = watched.take()
    path.write_text("echo 2, longer")
    [second] = watched.take()
    assert first == same
    assert first.key == second.key
    assert first.version != second.version


def test_times_set_after_closing_belong_to_the_upload(watched: Watched) -> None:
    """A copy whose time is set back just after it was closed is found once, as it is then."""
    path = watched.put("job/run.sh")
    assert watched.watch.take(path.stat().st_ctime) == []
    os.utime(path, ns=(10**18, 10**18))
    assert watched.watch.take(path.stat().st_ctime) == []
    [found] = watched.take()
    assert found.version.startswith(f"{10**18:x}-")
    again = Watched(watched.root)
    assert again.take() == [found]
    again.watch.close()


def test_times_in_the_future_hold_nothing_up(watched: Watched) -> None:
    """An executable with a modification time yet to come is found like any other, an empty one
    too."""
    for name, content in (("run.sh", "echo"), ("empty.sh", "")):
        os.utime(watched.put(f"job/{name}", content), (4e9, 4e9))
    assert watched.found() == ["job/run.sh"]
    assert watched.found(later_s=QUIET_S * 2) == ["job/empty.sh"]


def test_an_empty_file_is_given_time(watched: Watched) -> None:
    """A file without content is not found at once: its writer may open it again."""
    path = watched.put("job/run.sh", "")
    assert watched.found() == []
    path.write_text("echo")
    assert watched.found() == ["job/run.sh"]
    watched.put("job/stays.sh", "")
    assert watched.found(later_s=QUIET_S * 2) == ["job/stays.sh"]
    assert problem_with(str(watched.root / "job/stays.sh")) == "is empty"


def test_other_suffixes_and_own_files_are_nothing(watched: Watched) -> None:
    """Only files with a trigger suffix count, and none below a `.shoal`, wherever that is."""
    for key in ("job/run.txt", "job/sh", "job/run.sh.part", "job/.9.shoal-part", "inner/data"):
        watched.put(key)
    assert watched.found() == []
    for key in (".shoal/work/w/run.sh", "inner/.shoal/work/w/run.sh"):
        watched.put(key)
    assert watched.found(later_s=QUIET_S * 9) == []
    again = Watched(watched.root)
    assert again.found(later_s=QUIET_S * 9) == []
    again.watch.close()


def test_a_vanished_file_is_forgotten(watched: Watched) -> None:
    """A file or folder that goes before it was complete, or is replaced, stops nothing."""
    with watched.put("job/a/run.sh").open("a"), watched.put("job/b/run.sh").open("a"):
        assert watched.found() == []
        (watched.root / "job/a/run.sh").unlink()
        shutil.rmtree(watched.root / "job/b")
        (watched.root / "job/b").write_text("a file now")
    assert watched.found(later_s=QUIET_S * 9) == []
    assert watched.watch.next_look() is None


def test_links_and_pipes_are_found_to_be_refused(watched: Watched) -> None:
    """What is no plain file is found, for intake to say what is wrong with it."""
    (watched.root / "job").mkdir()
    os.mkfifo(watched.root / "job/pipe.sh")
    (watched.root / "job/link.sh").symlink_to("/bin/true")
    (watched.root / "job/folder-link.sh").symlink_to("/")
    assert watched.found(later_s=QUIET_S * 2) == [
        "job/folder-link.sh",
        "job/link.sh",
        "job/pipe.sh",
    ]
    assert problem_with(str(watched.root / "job/pipe.sh")) == "is not a plain file"
    assert problem_with(str(watched.root / "job/link.sh")) == "is a link"
    assert problem_with(str(watched.root / "job/gone.sh")) == "is gone again"


def test_linked_folders_are_not_entered(watched: Watched) -> None:
    """What lies behind a link to a folder is not in the bucket."""
    elsewhere = watched.root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "run.sh").write_text("echo")
    (watched.root / "link").symlink_to(elsewhere)
    (watched.root / "loop").symlink_to(".")
    assert watched.found(later_s=QUIET_S * 9) == []


def test_paths_too_long_to_name_are_passed_over(watched: Watched) -> None:
    """Folders nested deeper than a path can be long don't end the watch."""
    here = os.open(watched.root, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("run.sh", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)
    watched.put("job/run.sh")
    assert watched.found() == ["job/run.sh"]
    shutil.rmtree(watched.root / ("d" * 200))


def test_after_an_overflow_everything_is_looked_at(watched: Watched) -> None:
    """When the kernel has dropped events, what they would have told is found all the same."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 50_000:
        pytest.skip("the kernel's queue is too long to fill here")
    (watched.root / "job").mkdir()
    assert watched.found() == []
    flood = [watched.root / "job/1.sh", watched.root / "job/2.sh"]
    for number in range(limit + 2):
        # Two in turn: an event like the one before it would not be queued.
        os.close(os.open(flood[number % 2], os.O_WRONLY | os.O_CREAT))
    watched.put("job/sub/late.sh")
    assert "job/sub/late.sh" in watched.found()
    watched.put("job/sub/later.sh")
    assert watched.found() == ["job/sub/later.sh"]
