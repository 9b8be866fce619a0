"""Faults between the functions and AWS: throttling, errors, broken connections, lost answers.

Two kinds matter most. A request may never reach its service (`throttled`, `failed`, `reset`,
`timeout`), and it may be carried out while its answer is lost (`lost`): a caller that repeats it
then meets its own work.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

# By service, as microburst names it: what it says to too many calls, and when it fails.
ERRORS = {
    "autoscaling": ("Throttling", "InternalFailure"),
    "cloudwatch": ("Throttling", "InternalServiceFault"),
    "dynamodb": ("ThrottlingException", "InternalServerError"),
    "ec2": ("RequestLimitExceeded", "InternalError"),
    "events": ("ThrottlingException", "InternalException"),
    "lambda": ("TooManyRequestsException", "ServiceException"),
    "logs": ("ThrottlingException", "ServiceUnavailableException"),
    "s3": ("SlowDown", "InternalError"),
    "sqs": ("RequestThrottled", "InternalFailure"),
    "ssm": ("ThrottlingException", "InternalServerError"),
    "stepfunctions": ("ThrottlingException", "InternalFailure"),
    "sts": ("Throttling", "InternalFailure"),
}
THROTTLED, FAILED, RESET, LOST, TIMEOUT = "throttled", "failed", "reset", "lost", "timeout"
SHARES = {THROTTLED: 0.25, FAILED: 0.25, RESET: 0.2, LOST: 0.3}
HELD_S = 12.0
"""How long a timeout holds a request: longer than the functions' clients wait for an answer."""


@dataclass(frozen=True)
class Plan:
    """Which faults happen.

    Attributes:
        rate: how many of all requests meet one.
        shares: of these, by kind.
        timeouts: how many requests, and no more, are held until their callers give up.
        spared: actions that meet no fault, as `sqs:ReceiveMessage`.
        first: microburst's rules that come before all others, each with a kind to count it under.
        seed: of the choice.
    """

    rate: float = 0.1
    shares: tuple[tuple[str, float], ...] = tuple(SHARES.items())
    timeouts: int = 0
    spared: Collection[str] = ()
    first: tuple[tuple[str, dict[str, Any]], ...] = ()
    seed: int = 1

    def rules(self) -> list[tuple[str, dict[str, Any]]]:
        """Microburst's rules, each with its kind; the first whose turn it is happens."""
        rules = list(self.first)
        if self.timeouts:
            held = {"timeout_ms": 1000 * HELD_S, "times": self.timeouts}
            rules.append((TIMEOUT, {"service": "*", "probability": self.rate, **held}))
        # A rule is asked only when those before it passed: its probability is of what they left.
        left = 1.0
        for kind, share in self.shares:
            chance = {"probability": self.rate * share / left}
            left -= self.rate * share
            if kind in (THROTTLED, FAILED):
                rules += [
                    (kind, {"service": service, **chance, "error": error(kind, codes)})
                    for service, codes in ERRORS.items()
                ]
            else:
                effect = {"reset": True} if kind == RESET else {"response": {"abort_bytes": 0}}
                rules.append((kind, {"service": "*", **chance, **effect}))
        return rules


def error(kind: str, codes: tuple[str, str]) -> dict[str, Any]:
    """The error of a service, as microburst takes it."""
    return {"code": codes[0]} if kind == THROTTLED else {"code": codes[1], "status": 500}


def lose_answer(service: str, operation: str, times: int = 1) -> tuple[str, dict[str, Any]]:
    """For `Plan.first`: these answers are lost."""
    when = {"service": service, "operation": operation, "times": times}
    return LOST, {**when, "response": {"abort_bytes": 0}}


class Faults:
    """Proxies that injure what goes through them: one in front of each endpoint.

    Args:
        upstreams: the endpoints, by the variable that leads a client there.
        plan: what to inject.
        log: where the proxies' own complaints go.
    """

    def __init__(self, upstreams: dict[str, str], plan: Plan, log: Path) -> None:
        endpoints = sorted(set(upstreams.values()))
        asked = {
            "upstreams": endpoints,
            "rules": plan.rules(),
            "spared": list(plan.spared),
            "seed": plan.seed,
        }
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("faults_main.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(asked).encode())
        self._process.stdin.close()
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise RuntimeError(f"the proxies did not start:\n{log.read_text()[-4000:]}")
        found = [f"http://127.0.0.1:{port}" for port in json.loads(line)]
        at = dict(zip(endpoints, found, strict=True))
        self._proxies = found
        self.environment = {name: at[url] for name, url in upstreams.items()}
        """What leads a program's clients through the proxies."""

    def stop(self) -> None:
        """End the proxies: connections through them break."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def __enter__(self) -> Faults:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def requests(self) -> Counter[str]:
        """Requests that arrived so far, by action, as `dynamodb:UpdateItem`."""
        return self._count("requests")

    def injected(self) -> Counter[str]:
        """Faults so far, by kind and action, as `lost dynamodb:UpdateItem`."""
        return self._count("injected")

    def kinds(self) -> Counter[str]:
        """Faults so far, by kind."""
        found: Counter[str] = Counter()
        for name, count in self.injected().items():
            found[name.split()[0]] += count
        return found

    def table(self) -> str:
        """What was injected, on one screen."""
        requests, injected = self.requests(), self.injected()
        columns = (THROTTLED, FAILED, RESET, LOST, TIMEOUT)
        lines = [f"{'action':<48} {'calls':>7} " + " ".join(f"{c:>9}" for c in columns)]
        lines += [
            f"{action:<48} {calls:>7,} "
            + " ".join(f"{injected[f'{kind} {action}'] or '':>9}" for kind in columns)
            for action, calls in requests.most_common()
        ]
        sums = " ".join(f"{self.kinds()[kind]:>9}" for kind in columns)
        return "\n".join([*lines, f"{'all':<48} {requests.total():>7,} {sums}"])

    def _count(self, what: str) -> Counter[str]:
        total: Counter[str] = Counter()
        for url in self._proxies:
            with urllib.request.urlopen(f"{url}/_faults", timeout=10) as answer:
                total.update(json.load(answer)[what])
        return total
