"""Confirm: an attempt succeeded only when everything that was asked for is known to be so."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core.confirm import CONFIRMED, Ended, confirm
from shoal.core.spec import JobSpec

PLAIN = JobSpec("a", commands=("true",))
WANTS_STRING = JobSpec("a", commands=("true",), job_success_string="all done")
WANTS_FILES = JobSpec("a", commands=("true",), required_files=("out.csv", "b"))

doubts: dict[str, st.SearchStrategy[Any]] = {
    "exit_code": st.none() | st.integers(-300, 300),
    "signal": st.integers(1, 300),
    "timed_out_s": st.floats(0, 1e9),
    "problem": st.text(min_size=1),
    "retry_helps": st.booleans(),
    "found_string": st.none() | st.booleans(),
    "missing_files": st.lists(st.text(min_size=1), max_size=2).map(tuple),
    "last_output": st.text(),
}
# Most have one or two facts that differ from those of a success, so that each one has to count.
endings = (
    st.lists(st.sampled_from([*doubts]), max_size=2, unique=True)
    .flatmap(lambda names: st.fixed_dictionaries({name: doubts[name] for name in names}))
    .map(lambda facts: Ended(**{"exit_code": 0, "found_string": True, **facts}))
)


@given(st.sampled_from((PLAIN, WANTS_STRING, WANTS_FILES)), endings)
def test_success_is_the_absence_of_any_doubt(spec: JobSpec, ended: Ended) -> None:
    """An attempt is confirmed when it exited with 0, nothing speaks against it, and a string that
    was asked for is known to be there; in all other cases it is not, and the reason says why."""
    outcome = confirm(spec, ended)
    assert outcome.confirmed == (
        ended.exit_code == 0
        and ended.signal is None
        and ended.timed_out_s is None
        and ended.problem is None
        and not ended.missing_files
        and (spec is not WANTS_FILES or ended.missing_files is not None)
        and (spec is not WANTS_STRING or ended.found_string is True)
    )
    assert (outcome.reason == CONFIRMED) == outcome.confirmed
    assert outcome.reason
    assert outcome.exit_code == ended.exit_code
    assert outcome.retry_helps == (ended.retry_helps or outcome.confirmed)


def test_nothing_known_is_no_success() -> None:
    """An attempt about which nothing is known is not confirmed."""
    outcome = confirm(PLAIN, Ended())
    assert not outcome.confirmed
    assert outcome.reason == "how it ended is not known"


@pytest.mark.parametrize(
    ("spec", "facts", "reason"),
    [
        (PLAIN, {"exit_code": 3}, "exit code 3"),
        (PLAIN, {"exit_code": -1}, "exit code -1"),
        (PLAIN, {"exit_code": 256}, "exit code 256"),
        (PLAIN, {"exit_code": 3, "last_output": "no licence"},
         "exit code 3, last output: no licence"),
        (PLAIN, {"signal": signal.SIGKILL}, "ended by signal SIGKILL"),
        (PLAIN, {"signal": 200}, "ended by signal 200"),
        (PLAIN, {"timed_out_s": 1.5, "signal": signal.SIGTERM}, "timed out after 1.5 s"),
        (PLAIN, {"timed_out_s": 60.0, "exit_code": 0}, "timed out after 60 s"),
        (PLAIN, {"problem": "pwsh is not on PATH"}, "pwsh is not on PATH"),
        (WANTS_STRING, {"exit_code": 0, "found_string": False},
         "success string 'all done' is not in the output"),
        (WANTS_STRING, {"exit_code": 0}, "success string 'all done' is not in the output"),
        (WANTS_STRING, {"exit_code": 1, "found_string": True}, "exit code 1"),
        (WANTS_FILES, {"exit_code": 0, "missing_files": ("b",)}, "required file missing: b"),
        (WANTS_FILES, {"exit_code": 0, "missing_files": ("out.csv", "b")},
         "required file missing: out.csv, b"),
        (WANTS_FILES, {"exit_code": 0}, "whether the required files are there is not known"),
    ],
)  # fmt: skip
def test_the_reason_is_the_first_thing_wrong(
    spec: JobSpec, facts: dict[str, Any], reason: str
) -> None:
    """The reason names what went wrong, as a person would put it."""
    outcome = confirm(spec, Ended(**facts))
    assert (outcome.confirmed, outcome.reason) == (False, reason)


@pytest.mark.parametrize("string", ["", " ", "\t\n"])
def test_a_blank_string_is_not_looked_for(string: str) -> None:
    """With a blank success string, nobody needs to have looked at the output."""
    spec = JobSpec("a", commands=("true",), job_success_string=string)
    assert confirm(spec, Ended(exit_code=0)).confirmed
    assert confirm(spec, Ended(exit_code=0, found_string=False)).confirmed
