"""Jobs as items of the DynamoDB table, and back.

The first seven attributes are the original's. `listing` and `place` make the index that lists jobs
by queue and status, `member_of` and `place` the sparse one of batches; `waiting` and `turn` that of
queued jobs that are not on SQS: those of a priority, and those that back off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from shoal.core.errors import StoreDamaged
from shoal.core.job import (
    Attempt,
    Finished,
    Job,
    Lease,
    Queued,
    Settlement,
    Started,
    Status,
)
from shoal.core.spec import MAX_PRIORITY, JobSpec, spec_json, stored_spec

Value = dict[str, Any]
Item = Mapping[str, Value]

BY_LISTING, BY_BATCH, BY_TURN, BY_UNSENT = "by-listing", "by-batch", "by-turn", "by-unsent"
"""Indexes of the jobs table."""

SHOWN_CHARACTERS = 2_000
"""Of the commands and of the output, that the table shows; the whole is in `spec` and in S3."""

KEPT_ATTEMPTS = 100
"""When a job has this many attempts on record the older half goes: an item holds 400 KB."""

URGENT, DELAYED, LOW = "0", "1", "2"
"""How `turn` begins, so that one query finds what comes before the jobs on SQS."""

STATE = (
    *("Status", "listing", "attempt", "failures", "interruptions", "Retries", "not_before"),
    *("instance_id", "started_at", "lease_until", "finished_at", "reason", "exit_code"),
    *("waiting", "turn"),
)
"""What a transition may change."""

RUN = ("batch", "member_of")
"""What a new run may have or not have."""


def text(value: str) -> Value:
    """A string attribute."""
    return {"S": value}


def number(value: float) -> Value:
    """A number attribute."""
    return {"N": repr(value)}


def listing(queue: str, status: Status) -> str:
    """The partition of the listing index."""
    return f"{queue} {status}"


def member_of(queue: str, batch: str) -> str:
    """The partition of the index of batches."""
    return f"{queue} {batch}"


def turn(job: Job, place: int) -> str | None:
    """Where a queued job stands among those that are not on SQS; None: it goes to SQS."""
    if not isinstance(job.state, Queued):
        return None
    if job.state.not_before > 0:
        return f"{DELAYED} {job.state.not_before:020.6f}"
    priority = job.spec.priority
    if priority == 0:
        return None
    return f"{URGENT if priority > 0 else LOW} {MAX_PRIORITY - priority:07} {place:020}"


def due(now: float) -> str:
    """No job whose back-off is over has a later turn, and no job of low priority an earlier one."""
    return f"{DELAYED} {now:020.6f}"


def run_attributes(job: Job, queue: str, place: int) -> dict[str, Value]:
    """What a new run sets; of RUN, those that are not here are to be removed."""
    spec = job.spec
    commands = json.dumps(spec.commands if spec.executable is None else [spec.executable])
    found = {
        "queue": text(queue),
        "place": number(place),
        "run": number(job.run),
        "submitted_at": number(job.submitted_at),
        "deliveries": text("\n".join(job.deliveries)),
        "spec": text(spec_json(spec)),
        "SSM_Document": text(spec.ssm_document),
        "Commands": text(_shown(commands)),
    }
    if spec.batch:
        found["batch"], found["member_of"] = text(spec.batch), text(member_of(queue, spec.batch))
    return found


def state_attributes(job: Job, queue: str, place: int) -> dict[str, Value]:
    """What a transition sets; of STATE, those that are not here are to be removed."""
    state = job.state
    found = {
        "Status": text(job.status),
        "listing": text(listing(queue, job.status)),
        "attempt": number(job.attempt),
        "failures": number(job.failures),
        "interruptions": number(job.interruptions),
        "Retries": text(job.retries),
    }
    if isinstance(state, Queued):
        found["not_before"] = number(state.not_before)
    elif isinstance(state, Started):
        found["instance_id"] = text(state.lease.worker)
        found["started_at"] = number(state.lease.started_at)
        found["lease_until"] = number(state.lease.until)
    else:
        found["finished_at"] = number(state.finished_at)
        found["reason"] = text(state.reason)
        if state.exit_code is not None:
            found["exit_code"] = number(state.exit_code)
    stands = turn(job, place)
    if stands is not None:
        found["waiting"], found["turn"] = text(queue), text(stands)
    return found


def job_of(item: Item) -> Job:
    """A job from its item. Raises StoreDamaged."""
    try:
        return _job_of(item)
    except (KeyError, ValueError, TypeError, msgspec.MsgspecError) as error:
        name = item.get("job_id", {}).get("S")
        raise StoreDamaged(
            f"the item of job {name!r} is not as Shoal writes it ({error!r})",
            "submit the job again; change nothing in the table by hand",
        ) from error


def _job_of(item: Item) -> Job:
    status = Status(item["Status"]["S"])
    state: Queued | Started | Finished
    if status is Status.QUEUED:
        state = Queued(float(item["not_before"]["N"]))
    elif status is Status.STARTED:
        times = (float(item["started_at"]["N"]), float(item["lease_until"]["N"]))
        state = Started(Lease(item["instance_id"]["S"], *times))
    else:
        code = int(item["exit_code"]["N"]) if "exit_code" in item else None
        state = Finished(status, item["reason"]["S"], code, float(item["finished_at"]["N"]))
    return Job(
        spec_of(item),
        tuple(item["deliveries"]["S"].split("\n")),
        int(item["run"]["N"]),
        int(item["attempt"]["N"]),
        int(item["failures"]["N"]),
        int(item["interruptions"]["N"]),
        float(item["submitted_at"]["N"]),
        state,
    )


def spec_of(item: Item) -> JobSpec:
    """The spec of a job's last run."""
    return stored_spec(item["spec"]["S"])


class AttemptRecord(msgspec.Struct, frozen=True, array_like=True):
    """An attempt that ended, with the SSM command that ran it."""

    attempt: Attempt
    command_id: str | None


_encode = msgspec.json.Encoder().encode
_decode_attempt = msgspec.json.Decoder(AttemptRecord).decode
_decode_settlement = msgspec.json.Decoder(Settlement).decode


def attempt_value(attempt: Attempt, command_id: str | None) -> Value:
    """An entry of the list `attempts`."""
    return text(_encode(AttemptRecord(attempt, command_id)).decode())


def attempts_of(item: Item) -> list[AttemptRecord]:
    """The attempts of a job that ended, over all runs, in order."""
    return [_decode_attempt(value["S"]) for value in item.get("attempts", {"L": ()})["L"]]


def settlement_value(settlement: Settlement) -> Value:
    """A settlement as text, in the list `unsent` and in its own item."""
    return text(_encode(settlement).decode())


def settlement_of(value: Value) -> Settlement:
    """A settlement as it was written."""
    return _decode_settlement(value["S"])


def _shown(value: str) -> str:
    return value if len(value) <= SHOWN_CHARACTERS else f"{value[:SHOWN_CHARACTERS]}..."
