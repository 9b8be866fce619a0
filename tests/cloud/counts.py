"""What a state machine and its functions did between two moments, against AWS's limits and bill.

Events are counted as AWS writes them. It adds a `TaskStarted` to each scheduled task, and a
`TaskSubmitted` where the task waits for its token; the emulator's history has neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .emulator import Emulator

MOST_EVENTS = 25_000
"""Events that an execution may have; one more fails it."""

LARGEST_PAYLOAD_BYTES = 262_144
"""What a state's input or output may hold."""

PAYLOADS = ("input", "output", "parameters")

Event = dict[str, Any]


@dataclass(frozen=True)
class _Tally:
    """A history, summed up. Branches that run at once are not told apart: our machine has none."""

    transitions: int
    retries: int
    events: int

    @staticmethod
    def of(history: list[Event]) -> _Tally:
        entered = retries = unseen = 0
        scheduled_here = False
        for event in history:
            kind = event["type"]
            if kind.endswith("StateEntered"):
                entered += 1
                scheduled_here = False
            elif kind == "TaskScheduled":
                retries += scheduled_here
                scheduled_here = True
                resource = event.get("taskScheduledEventDetails", {}).get("resource", "")
                waits = resource.endswith((".waitForTaskToken", ".sync", ".sync:2"))
                unseen += 2 if waits else 1
        return _Tally(entered + retries, retries, len(history) + unseen)


@dataclass(frozen=True)
class Counts:
    """What happened from a `Moment` until now.

    Attributes:
        transitions: as AWS bills them: one for each state entered, and one for each retry.
        retries: those of the transitions that were retries.
        events: history events, as many as AWS would write.
        executions: by status, those to which anything happened.
        most_events: of one of these executions, since its start.
        largest_payload_bytes: the largest input or output in an event.
        calls: of functions, by name.
        errors: calls of functions that failed, by name.
        seconds: for which functions ran, by name.
    """

    transitions: int = 0
    retries: int = 0
    events: int = 0
    executions: Counter[str] = field(default_factory=Counter)
    most_events: int = 0
    largest_payload_bytes: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)

    def over_limits(self) -> list[str]:
        """What AWS would have refused; empty when all is within its limits."""
        found = []
        if self.most_events > MOST_EVENTS:
            found.append(
                f"an execution of {self.most_events:,} events; the limit is {MOST_EVENTS:,}"
            )
        if self.largest_payload_bytes > LARGEST_PAYLOAD_BYTES:
            found.append(
                f"an input or output of {self.largest_payload_bytes:,} bytes; the limit is "
                f"{LARGEST_PAYLOAD_BYTES:,}"
            )
        return found

    def table(self, jobs: int) -> str:
        """All of it on one screen, in total and per job."""
        statuses = ", ".join(f"{count} {status}" for status, count in self.executions.most_common())
        rows = [
            ("", "total", "per job", ""),
            _row("executions", self.executions.total(), jobs, statuses),
            _row("state transitions", self.transitions, jobs, f"{self.retries} of them retries"),
            _row("history events", self.events, jobs, f"at most {self.most_events:,} in one"),
            ("largest payload", f"{self.largest_payload_bytes:,}", "", "bytes"),
            _row("function calls", self.calls.total(), jobs, f"{self.errors.total()} failed"),
        ]
        for name, calls in self.calls.most_common():
            mean_ms = 1000 * self.seconds.get(name, 0.0) / calls
            failed = f", {self.errors[name]} failed" if self.errors[name] else ""
            rows.append(_row(f"  {name}", calls, jobs, f"{mean_ms:,.0f} ms each{failed}"))
        wide = max(len(row[0]) for row in rows)
        lines = [f"{a:<{wide}} {b:>9} {c:>8}  {d}".rstrip() for a, b, c, d in rows]
        return "\n".join(lines)


def _row(name: str, total: int, jobs: int, remark: str) -> tuple[str, str, str, str]:
    return name, f"{total:,}", f"{total / max(jobs, 1):,.2f}", remark


class Moment:
    """A moment from which on is counted.

    Args:
        emulator: the account.
        state_machine_arn: whose executions are looked at.
        functions: the start of the names of the functions that count; it is left out in the result.
    """

    def __init__(self, emulator: Emulator, state_machine_arn: str, functions: str = "") -> None:
        self._emulator = emulator
        self._machine = state_machine_arn
        self._prefix = functions
        self._seen = {arn: len(history) for arn, _status, history in self._histories()}
        self._calls = self._functions()

    def counts(self) -> Counts:
        """What has happened since."""
        transitions = retries = events = most = largest = 0
        executions: Counter[str] = Counter()
        for arn, status, history in self._histories():
            seen = self._seen.get(arn, 0)
            if len(history) == seen:
                continue
            now, then = _Tally.of(history), _Tally.of(history[:seen])
            executions[status] += 1
            transitions += now.transitions - then.transitions
            retries += now.retries - then.retries
            events += now.events - then.events
            most = max(most, now.events)
            largest = max(largest, *(_payload_bytes(event) for event in history[seen:]))
        calls: Counter[str] = Counter()
        errors: Counter[str] = Counter()
        seconds: dict[str, float] = {}
        for name, found in self._functions().items():
            before = self._calls.get(name, {})
            if called := int(found["calls"] - before.get("calls", 0)):
                short = name.removeprefix(self._prefix)
                calls[short] = called
                errors[short] = int(found["errors"] - before.get("errors", 0))
                seconds[short] = found["seconds"] - before.get("seconds", 0.0)
        return Counts(
            transitions, retries, events, executions, most, largest, calls, +errors, seconds
        )

    def _functions(self) -> dict[str, dict[str, float]]:
        calls: dict[str, dict[str, float]] = self._emulator.hook("functions")["calls"]
        return {name: of for name, of in calls.items() if name.startswith(self._prefix)}

    def _histories(self) -> Iterator[tuple[str, str, list[Event]]]:
        states = self._emulator.client("stepfunctions")
        executions = states.get_paginator("list_executions")
        for page in executions.paginate(stateMachineArn=self._machine):
            for execution in page["executions"]:
                arn = execution["executionArn"]
                yield arn, execution["status"], list(self._history(arn))

    def _history(self, arn: str) -> Iterator[Event]:
        pages = self._emulator.client("stepfunctions").get_paginator("get_execution_history")
        for page in pages.paginate(executionArn=arn, PaginationConfig={"PageSize": 1000}):
            yield from page["events"]


def _payload_bytes(event: Event) -> int:
    """The largest payload of an event."""
    details = [value for key, value in event.items() if key.endswith("EventDetails")]
    sizes = [len(of[key].encode()) for of in details for key in PAYLOADS if key in of]
    return max(sizes, default=0)
