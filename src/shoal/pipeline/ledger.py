"""What is known of passing on: how far it is, and which runs could not be passed on.

It is kept in the notes of the source, under one topic. Keys begin with the id of the environment
that jobs are passed on to, or with a word: `id` and `trouble` come with that environment's name.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from shoal.client_ports import Environment, Finding, Notes
from shoal.core.job import Settlement, Status
from shoal.core.spec import storable
from shoal.environment import is_cloud
from shoal.pipeline.route import declared_route

TOPIC = "next"

AGAIN = "'shoal up' and 'shoal relay' try again; 'shoal relay --drop' gives up"


class Run(msgspec.Struct, frozen=True):
    """A run that was Successful, and is to be passed on.

    Args:
        cursor: of its settlement.
        job_id, run: name it.
        job: its JSON.
        target: when it could not be passed on, the name of the environment it was to go to.
        reason: why not, and what to do about it.
    """

    cursor: int
    job_id: str
    run: int
    job: str
    target: str = ""
    reason: str = ""


class Ledger:
    """The notes on passing on from one environment to another.

    Args:
        notes: of the source.
        target_id: of the other.
    """

    def __init__(self, notes: Notes, target_id: str) -> None:
        self.target_id = target_id
        self._notes = notes
        kept = notes.read(TOPIC)
        self.cursor = cursor_in(kept, target_id)
        self.held = {run.cursor: run for key, run in _held_in(kept) if key.startswith(target_id)}

    def move(self, cursor: int) -> None:
        """All up to a settlement is passed on, or held."""
        self._notes.write(TOPIC, f"{self.target_id} cursor", str(cursor))
        self.cursor = cursor

    def hold(self, run: Run) -> bool:
        """Keep a run that can't be passed on, with the reason; whether that is news."""
        self._drop_earlier(run)
        if self.held.get(run.cursor) == run:
            return False
        self._notes.write(TOPIC, self._key(run.cursor), msgspec.json.encode(run).decode())
        self.held[run.cursor] = run
        return True

    def release(self, run: Run) -> None:
        """A run needs nothing more, and neither do earlier ones of its job."""
        self._drop(run.cursor)
        self._drop_earlier(run)

    def _drop_earlier(self, run: Run) -> None:
        for held in [*self.held.values()]:
            if held.job_id == run.job_id and held.run < run.run:
                self._drop(held.cursor)

    def _drop(self, cursor: int) -> None:
        if cursor in self.held:
            self._notes.write(TOPIC, self._key(cursor), None)
            del self.held[cursor]

    def _key(self, cursor: int) -> str:
        return f"{self.target_id} held {cursor:020}"


def id_of(environment: Environment) -> str:
    """Names an environment for good; one that is made anew in its place has another name."""
    return environment.notes.write_once("environment", "id", uuid.uuid4().hex)


def runs_of(settlements: Sequence[Settlement]) -> list[Run]:
    """Those that were Successful."""
    return [
        Run(of.cursor, of.job_id, of.run, of.job)
        for of in settlements
        if of.status is Status.SUCCESSFUL and of.job_id is not None
    ]


def cursor_in(notes: Mapping[str, str], target_id: str) -> int:
    """How far the source was passed on to an environment."""
    return int(notes.get(f"{target_id} cursor", "0"))


def _held_in(notes: Mapping[str, str]) -> list[tuple[str, Run]]:
    return [
        (key, msgspec.json.decode(text, type=Run))
        for key, text in notes.items()
        if key.partition(" ")[2].startswith("held ")
    ]


def note_target(notes: Notes, name: str, target_id: str) -> None:
    """Keep which environment a name stands for, for who can't open it."""
    key = f"id {storable(name)}"
    if notes.read(TOPIC).get(key) != target_id:
        notes.write(TOPIC, key, target_id)


def note_trouble(notes: Notes, name: str, trouble: str | None) -> None:
    """Keep what is in the way of all that is to be passed on to an environment; None: nothing."""
    notes.write(TOPIC, f"trouble {storable(name)}", storable(trouble) if trouble else None)


def findings(environment: Environment) -> Iterator[Finding]:
    """What was not passed on although it could be, for the doctor."""
    notes = environment.notes.read(TOPIC)
    for key, trouble in notes.items():
        kind, _, target = key.partition(" ")
        if kind == "trouble":
            yield Finding("held", f"nothing is passed on to {target}: {trouble}", AGAIN)
    for _, run in _held_in(notes):
        what = f"job {run.job_id!r}, run {run.run}, is not passed on to {run.target}: {run.reason}"
        yield Finding("held", what, AGAIN)
    if is_cloud(environment.name) or environment.is_supervised():
        return
    if (route := declared_route(environment.name)) is None:
        return
    cursor = cursor_in(notes, notes.get(f"id {storable(route.environment)}", ""))
    if waiting := len(runs_of(environment.store.settlements(cursor, 1_000))):
        yield Finding(
            "waiting",
            f"{waiting:,} Successful job{'s' * (waiting != 1)} not passed on to"
            f" {route.environment} yet",
            "'shoal up' or 'shoal relay' does that",
        )


def held_runs(environment: Environment) -> list[Run]:
    """What could not be passed on, to any environment."""
    return [run for _, run in _held_in(environment.notes.read(TOPIC))]


def drop_held(environment: Environment) -> list[Run]:
    """Give up all that could not be passed on, to any environment; returns what that was."""
    notes = environment.notes.read(TOPIC)
    held = _held_in(notes)
    troubles = [key for key in notes if key.startswith("trouble ")]
    for key in (*(key for key, _ in held), *troubles):
        environment.notes.write(TOPIC, key, None)
    return [run for _, run in held]
