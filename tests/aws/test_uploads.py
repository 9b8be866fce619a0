"""What is uploaded of a job folder, and in which order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shoal.aws.folders import _target
from shoal.aws.upload import plan_upload
from shoal.core.errors import BucketError
from shoal.core.intake import IntakeRules

RULES = IntakeRules((".sh",), 0, " ")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job folder with inputs on two levels."""
    made = tmp_path / "job"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "run.sh").write_text("echo")
    (made / "in put.txt").write_text("1")
    (made / "deep" / "er" / "data").write_text("2")
    (made / "deep" / "tool.sh").write_text("echo")
    return made


def test_executables_are_told_from_inputs(folder: Path) -> None:
    """Files of the folder itself with the suffix start jobs; deeper ones are inputs that don't."""
    plan = plan_upload(str(folder), RULES)
    assert [of.key for of in plan.executables] == ["job/run.sh"]
    assert [of.key for of in plan.tools] == ["job/deep/tool.sh"]
    assert sorted(of.key for of in plan.inputs) == ["job/deep/er/data", "job/in put.txt"]


def test_links_within_the_folder_are_followed(folder: Path) -> None:
    """A link to a file of the folder is uploaded as that file's content."""
    (folder / "link").symlink_to("deep/er/data")
    (upload,) = (of for of in plan_upload(str(folder), RULES).inputs if of.key == "job/link")
    assert Path(upload.file).read_text() == "2"


@pytest.mark.parametrize(
    ("target", "says"), [("/etc/hostname", "leaves"), ("deep", "no file"), ("gone", "no file")]
)
def test_other_links_are_refused(folder: Path, target: str, says: str) -> None:
    """A link that leaves the folder, or leads to no file, is refused."""
    (folder / "link").symlink_to(target)
    with pytest.raises(BucketError, match=f"'link' is a link .*{says}"):
        plan_upload(str(folder), RULES)


def test_an_environments_own_folder_stays_here(folder: Path) -> None:
    """What a local environment keeps in the folder is not uploaded."""
    (folder / ".shoal").mkdir()
    (folder / ".shoal" / "shoal.db").write_text("")
    assert not [of for of in plan_upload(str(folder), RULES).inputs if ".shoal" in of.key]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes only there")
def test_a_name_that_is_no_text_is_refused(folder: Path) -> None:
    """A key is UTF-8; a file whose name is not can't be uploaded."""
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_text("")
    with pytest.raises(BucketError, match="UTF-8"):
        plan_upload(str(folder), RULES)


def test_a_folder_without_an_executable_is_refused(folder: Path) -> None:
    """There must be something to run."""
    (folder / "run.sh").unlink()
    with pytest.raises(BucketError, match="holds no executable"):
        plan_upload(str(folder), RULES)
    with pytest.raises(BucketError, match="is not a folder"):
        plan_upload(str(folder / "nowhere"), RULES)


@pytest.mark.parametrize("key", ["job/../../up", "/etc/passwd", "job//x", "../x", "job/./x", ".."])
def test_a_result_that_would_leave_the_destination_is_refused(tmp_path: Path, key: str) -> None:
    """The name of a result is the job's to choose, and so can't be trusted."""
    with pytest.raises(BucketError, match="would leave"):
        _target(tmp_path, key)


def test_a_result_lies_below_the_destination(tmp_path: Path) -> None:
    """A plain key is a path below it, whatever characters it holds."""
    assert _target(tmp_path, "job/a b+%41$(x)") == tmp_path / "job" / "a b+%41$(x)"
