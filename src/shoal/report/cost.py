"""What AWS takes for the orchestration of jobs, and what machines cost.

List prices of us-east-1, those of arm64 for Lambda, as of November 2026; Amazon's page
https://aws.amazon.com/pricing/ leads to each. What a job uses is counted in the code of
`shoal.aws`; docs/explanation/costs.md explains each number, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

PRICES_OF = "us-east-1, November 2026"

TRANSITION_USD = 25e-6
CALL_USD = 0.20e-6
GB_SECOND_USD = 13.33e-6
WRITE_USD = 0.625e-6
READ_USD = 0.125e-6
MESSAGE_USD = 0.40e-6
PUT_USD = 5e-6
LOG_GB_USD = 0.50

RENEWAL_S = 300.0
"""A long job costs two transitions and a call each time: the default of `TimeoutJob`."""

WORKER_TRANSITIONS = 20
"""For a worker's start and end."""


class Use(msgspec.Struct, frozen=True):
    """Units of a service that jobs take, and its price a unit.

    Args:
        service: its name.
        unit: what is counted.
        a_submission: units of a job, however often it is tried.
        an_attempt: units of each attempt.
        a_renewal: units for each `RENEWAL_S` that an attempt runs.
        a_worker: units of a worker.
        price_usd: of a unit.
    """

    service: str
    unit: str
    a_submission: float
    an_attempt: float
    price_usd: float
    a_renewal: float = 0.0
    a_worker: float = 0.0


USES = (
    Use("Step Functions", "transitions", 0, 3, TRANSITION_USD, 2, WORKER_TRANSITIONS),
    Use("Lambda, calls", "calls", 1, 3, CALL_USD, 1),
    Use("Lambda, time", "GB-seconds", 0.025, 0.2, GB_SECOND_USD),
    Use("DynamoDB, writes", "units", 4, 17, WRITE_USD),
    Use("DynamoDB, reads", "units", 2, 7.5, READ_USD),
    Use("SQS", "messages", 2.2, 3, MESSAGE_USD),
    Use("S3, output", "objects", 0, 2, PUT_USD),
    Use("CloudWatch Logs", "GB", 0, 3e-6, LOG_GB_USD),
)


class Line(msgspec.Struct, frozen=True):
    """What a service takes for a set of jobs."""

    service: str
    unit: str
    units: float
    usd: float


def orchestration(jobs: int, attempts_s: Iterable[float], workers: int) -> list[Line]:
    """What the services take that run jobs, the machines aside.

    Args:
        jobs: how many were submitted.
        attempts_s: how long each attempt took.
        workers: how many came and went.
    """
    durations = list(attempts_s)
    renewals = sum(int(took_s // RENEWAL_S) for took_s in durations)
    lines = []
    for of in USES:
        units = of.a_submission * jobs + of.an_attempt * len(durations)
        units += of.a_renewal * renewals + of.a_worker * workers
        lines.append(Line(of.service, of.unit, units, units * of.price_usd))
    return lines


class Cost(msgspec.Struct, frozen=True):
    """What a set of jobs has cost.

    Args:
        lines: the services of AWS; none for a folder, which takes nothing.
        orchestration_usd: their sum.
        machine_hours: of all workers, each from its first attempt's start to its last one's end.
        hours_by_type: the same by instance type, where it is known; else under an empty name.
        hours_a_job: of machines.
        hourly_usd: the price of a machine's hour, where somebody has said it.
        machines_usd: what the machines have cost at that price.
        usd_a_job: all together; None when the price of the machines is not known.
    """

    lines: list[Line]
    orchestration_usd: float
    machine_hours: float
    hours_by_type: dict[str, float]
    hours_a_job: float
    hourly_usd: float | None
    machines_usd: float | None
    usd_a_job: float | None


def cost_of(
    jobs: int,
    attempts_s: Iterable[float],
    lives_s: dict[str, float],
    types: dict[str, str],
    *,
    in_cloud: bool,
    hourly_usd: float | None,
) -> Cost:
    """What a set of jobs has cost.

    Args:
        jobs: how many there are.
        attempts_s: how long each attempt took.
        lives_s: how long each worker was there.
        types: the workers' instance types, as far as they are known.
        in_cloud: whether the services of AWS are paid for.
        hourly_usd: the price of a machine's hour; None: not known.
    """
    lines = orchestration(jobs, attempts_s, len(lives_s)) if in_cloud else []
    services = sum(line.usd for line in lines)
    by_type: dict[str, float] = {}
    for worker, life_s in lives_s.items():
        of = types.get(worker, "")
        by_type[of] = by_type.get(of, 0.0) + life_s / 3600
    hours = sum(lives_s.values()) / 3600
    machines = hours * hourly_usd if hourly_usd is not None else None
    return Cost(
        lines=lines,
        orchestration_usd=services,
        machine_hours=hours,
        hours_by_type=by_type,
        hours_a_job=hours / max(1, jobs),
        hourly_usd=hourly_usd,
        machines_usd=machines,
        usd_a_job=(services + machines) / max(1, jobs) if machines is not None else None,
    )
