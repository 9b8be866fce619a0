"""Reasons that differ only in numbers and names are one."""

from __future__ import annotations

import pytest

from shoal.report.reasons import normalised, reasons
from shoal.report.spans import spans_of

from .jobs import T0, F, Ran, made


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("worker w-0a1b2c3d is gone", "worker i-0123456789abcdef0 is gone"),
        (
            "exit code 1, last output: no convergence at step 17 (1.3e-07)",
            "exit code 1, last output: no convergence at step 4711 (-2.5e+03)",
        ),
        (
            "exit code 2, last output: id 7f3e9a21-11ab-4c1d-9e42-00aa11bb22cc is taken",
            "exit code 2, last output: id 00aa11bb-22cc-4c1d-9e42-7f3e9a217f3e is taken",
        ),
        ("required file missing: out17.csv", "required file missing: out17.csv"),
    ],
)
def test_alike(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("exit code 1", "exit code 2"),
        ("exit code 1, last output: no licence", "exit code 2, last output: no licence"),
        ("timed out after 10 s", "timed out after 300 s"),
        ("ended by signal SIGKILL", "ended by signal SIGSEGV"),
        ("exit code 1, last output: no licence", "exit code 1, last output: no convergence"),
        ("worker w-0a1b2c3d is gone", "worker w-0a1b2c3d let the lease expire"),
    ],
)
def test_not_alike(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


def test_groups_say_how_many_and_name_one() -> None:
    """The most frequent comes first; what all of a group have in common is written out."""
    of = made()
    for place in range(3):
        of.add(f"job{place}", Ran(0, 2, ending=F, reason=f"exit code 1, last output: at {place}"))
    of.add("other", Ran(0, 5, ending=F, reason="exit code 7, last output: at 5"))
    first, second = reasons(spans_of(of.jobs, of.attempts, T0 + 100))
    assert first.text == "exit code 1, last output: at #"
    assert (first.attempts, first.jobs, first.lost_s, first.example) == (3, 3, 6, "job0")
    assert second.text == "exit code 7, last output: at 5"
