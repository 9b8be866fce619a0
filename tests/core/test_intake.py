"""Intake: which objects start jobs, and what jobs those are."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shoal.core.errors import SpecError
from shoal.core.intake import IntakeRules, is_executable, plan_job
from shoal.core.spec import JobSpec, check_key_path, parse_job, spec_json
from shoal.testing.strategies import AWKWARD_IDS, key_paths

RULES = IntakeRules((".sh", "_run.py"), retry=2, job_success_string="done")


@pytest.mark.parametrize(
    ("key", "starts"),
    [
        ("f/run.sh", True),
        ("f/.sh", True),
        ("f/my_run.py", True),
        ("f/run.py", False),
        ("f/run.SH", False),
        ("f/run.sh.part", False),
        ("f/run.sh/input", False),
        ("f/runsh", False),
        ("", False),
    ],
)
def test_the_suffix_triggers(key: str, starts: bool) -> None:
    """An object whose key ends in one of the suffixes, exactly, is an executable."""
    assert is_executable(key, RULES) == starts


def test_no_suffix_triggers_nothing() -> None:
    """An environment without trigger suffixes starts no jobs from its bucket."""
    assert not is_executable("f/run.sh", IntakeRules((), 0, " "))


def test_the_key_is_the_job_id() -> None:
    """The job of an executable is named by its key, and lies in the folder around it."""
    assert plan_job("lot 7/corner 3/run.sh", RULES) == JobSpec(
        job_id="lot 7/corner 3/run.sh",
        retry=2,
        job_success_string="done",
        folder="lot 7/corner 3",
        executable="run.sh",
        batch="lot 7",
    )


@given(key_paths())
@example("$(reboot)/'; rm -rf ~;'.sh")
@example("f/--help.sh")
def test_keys_are_data(key: str) -> None:
    """Any key that can name a job becomes one that survives its JSON; the others are refused."""
    try:
        spec = plan_job(key, RULES)
    except SpecError as refused:
        shown = key.isascii() and key.isprintable()
        assert "/" not in key or not shown
        assert ascii(key) in str(refused)
    else:
        assert f"{spec.folder}/{spec.executable}" == spec.job_id == key
        assert parse_job(spec_json(spec)) == spec


@given(st.text())
@example("f/\udcff.sh")
@example("f/\ud800.sh")
def test_a_key_is_a_job_or_a_named_error(key: str) -> None:
    """Whatever an object is called, it becomes a job or is refused with the reason."""
    try:
        plan_job(key, RULES)
    except SpecError as refused:
        assert str(refused).isprintable()
    else:
        assert check_key_path(key) is None


@pytest.mark.parametrize("key", [f"f/{name}.sh" for name in AWKWARD_IDS[:10] if "/" not in name])
def test_an_awkward_name_is_no_reason_to_refuse(key: str) -> None:
    """Spaces, quotes, wildcards and dashes in a key are fine."""
    assert plan_job(key, RULES).job_id == key


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("run.sh", "top of the bucket"),
        ("/f/run.sh", "absolute"),
        ("f/../run.sh", "'..'"),
        ("../run.sh", "'..'"),
        ("f//run.sh", "empty"),
        (".shoal/run.sh", "Shoal's own folder"),
        ("f/a\nb.sh", "control characters"),
        ("f/a\0b.sh", "NUL"),
        ("f/\udcff.sh", "not valid UTF-8"),
        ("f/" + "x" * 4096 + ".sh", "1,024 bytes"),
    ],
)
def test_a_key_that_can_not_be_a_job_says_why(key: str, reason: str) -> None:
    """An executable that can't become a job is refused with what is wrong about its key."""
    with pytest.raises(SpecError, match=reason):
        plan_job(key, RULES)
