"""Reasons in words, brought together: what differs only in a number or a name is one."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from shoal.core.job import Ending
from shoal.report.spans import Span

MAX_TEXT = 200

_OUTPUT = ", last output: "
_WORKER = re.compile(r"\b(?:w-[0-9a-f]{8}|m?i-[0-9a-f]{8,17})\b")
_HEX = re.compile(r"\b(?=[0-9a-fA-F]*\d)(?:0x)?[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,}){0,4}\b")
_NUMBER = re.compile(r"(?<![A-Za-z_])[-+]?\d+(?:[.,:]\d+)*(?:[eE][-+]?\d+)?")


class Reason(msgspec.Struct, frozen=True):
    """Why attempts ended as nobody wanted.

    Args:
        ending: how: failed, interrupted or cancelled.
        text: the reason, `#` for what differed.
        attempts: how many ended so.
        jobs: how many jobs these were of.
        lost_s: the workers' time they took.
        example: one of the jobs.
    """

    ending: Ending
    text: str
    attempts: int
    jobs: int
    lost_s: float
    example: str


def normalised(reason: str) -> str:
    """A reason without what differs from job to job; exit codes, signals and limits stay."""
    verdict, mark, output = reason.partition(_OUTPUT)
    if not mark and not verdict.startswith(("exit code ", "ended by signal ", "timed out after ")):
        verdict = _without_numbers(verdict)
    return (verdict + mark + _without_numbers(output))[:MAX_TEXT]


def _without_numbers(text: str) -> str:
    for pattern in (_WORKER, _HEX, _NUMBER):
        text = pattern.sub("#", text)
    return text


def reasons(spans: Iterable[Span]) -> list[Reason]:
    """Group the attempts that were not successful, those first that occur most."""
    groups: dict[tuple[Ending, str], list[Span]] = {}
    known: dict[str, str] = {}
    for span in spans:
        if span.ending is None or span.ending is Ending.SUCCESSFUL:
            continue
        if span.reason not in known:
            known[span.reason] = normalised(span.reason)
        groups.setdefault((span.ending, known[span.reason]), []).append(span)
    found = [
        Reason(
            ending=ending,
            # What is the same in all of them stays as it was.
            text=of[0].reason[:MAX_TEXT] if len({one.reason for one in of}) == 1 else text,
            attempts=len(of),
            jobs=len({one.job_id for one in of}),
            lost_s=sum((one.ended_at or one.started_at) - one.started_at for one in of),
            example=of[0].job_id,
        )
        for (ending, text), of in groups.items()
    ]
    return sorted(found, key=lambda reason: -reason.attempts)
