"""`shoal top`: an environment at a glance, live in the terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from shoal.cli.options import FiniteRange, environment_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shoal.cli.top_screen import Failure
    from shoal.client import Client
    from shoal.core.job import Job
    from shoal.report.live import Sampler
    from shoal.web.clients import Clients

PATIENCE_S = 60.0
"""For the first look, where it is the only one."""

KEY_S = 0.2
"""How long it may take until a key is heard."""

MOST_RUNNING, MOST_FAILED = 300, 20


@click.command("top", short_help="Jobs and workers at a glance, live in the terminal.")
@environment_option
@click.option(
    "--every",
    "every_s",
    type=FiniteRange(0.1, 86_400),
    metavar="S",
    help="Seconds between two looks.  [default: 1, on AWS 5]",
)
@click.option("--once", is_flag=True, help="Print how things stand, and end.")
def command(environment: str | None, every_s: float | None, once: bool) -> None:
    """Show how many jobs there are and how fast they go, what the workers run, and what failed.

    It goes on until you press q or Ctrl-C. Where the output is no terminal, it is printed once.

    \b
      shoal top
      shoal top --once
    """
    from shoal.cli.output import console
    from shoal.client import connect
    from shoal.report.live import Sampler
    from shoal.web.clients import Clients

    with connect(environment, create=False) as client:
        name = client.environment.name

    def again() -> Client:
        return connect(environment, create=False)

    clients = Clients(name, again)
    try:
        with Sampler(again, every_s) as sampler:
            if once or not sys.stdout.isatty() or console().is_dumb_terminal:
                _print_once(name, clients, sampler)
            else:
                _follow(name, clients, sampler)
    finally:
        clients.close()


def _print_once(name: str, clients: Clients, sampler: Sampler) -> None:
    from shoal.cli.output import console, print_block
    from shoal.cli.top_screen import MOST_COLUMNS, Moment, picture
    from shoal.core.errors import StoreError

    sample = sampler.fresh(PATIENCE_S)
    if sample is None:
        raise StoreError(
            sampler.error or f"there was no answer within {PATIENCE_S:g} s", "'shoal doctor' helps"
        )
    moment = Moment(sample, sampler.history(), *_details(clients), error=None)
    print_block(picture(moment, name, min(console().width, MOST_COLUMNS), None))


def _follow(name: str, clients: Clients, sampler: Sampler) -> None:
    import time

    from rich.live import Live
    from rich.text import Text

    from shoal.cli.output import console, one_line
    from shoal.cli.top_screen import Moment, picture
    from shoal.core.errors import ShoalError

    out = console()
    drawn: object = None
    running, failed = _details(clients)
    with _keys() as is_asked_to_leave, Live(console=out, screen=True, auto_refresh=False) as live:
        try:
            while not is_asked_to_leave():
                sample = sampler.fresh(KEY_S, after=time.time())
                error = sampler.error
                if sample is None:
                    live.update(Text(one_line(error or f"looking at {name} ...")), refresh=True)
                    continue
                if (sample.at, error, out.size) == drawn:
                    continue
                drawn = (sample.at, error, out.size)
                try:
                    if error is None:
                        running, failed = _details(clients)
                except ShoalError as problem:
                    error = str(problem)
                moment = Moment(sample, sampler.history(), running, failed, error)
                live.update(picture(moment, name, out.width, out.height), refresh=True)
        except KeyboardInterrupt:
            pass  # how one leaves


def _details(clients: Clients) -> tuple[list[Job], list[Failure]]:
    """The jobs that run, and what failed last."""
    with clients.lend() as client:
        return _details_of(client)


def _details_of(client: Client) -> tuple[list[Job], list[Failure]]:
    import time

    from shoal.cli.top_screen import Failure
    from shoal.core.job import Ending, Finished, Queued, Started, Status
    from shoal.ports import Order, Query

    recent = client.recent(time.time(), MOST_RUNNING)
    running = [job for job in recent if isinstance(job.state, Started)]
    again = [job for job in recent if isinstance(job.state, Queued) and job.failures]
    failed = []
    for job_id, attempts in client.attempts_of(again[:MOST_FAILED]).items():
        if attempts and (last := attempts[-1]).ending is Ending.FAILED:
            failed.append(Failure(job_id, last.ended_at, last.reason, True))
    order = Order.ENDED if Order.ENDED in client.orders else Order.NEWEST
    for job in client.page(Query(statuses=(Status.FAILED,), order=order), None, MOST_FAILED).jobs:
        if isinstance(job.state, Finished):
            failed.append(Failure(job.job_id, job.state.finished_at, job.state.reason, False))
    return running, sorted(failed, key=lambda of: of.at, reverse=True)[:MOST_FAILED]


@contextmanager
def _keys() -> Iterator[Callable[[], bool]]:
    """While inside, keys are heard at once; yields whether one was pressed that means to leave."""
    if not sys.stdin.isatty():
        yield lambda: False
        return
    import os
    import select
    import termios
    import tty

    stdin = sys.stdin.fileno()

    def is_asked_to_leave() -> bool:
        while select.select([stdin], [], [], 0)[0]:
            pressed = os.read(stdin, 1024)
            if not pressed or b"q" in pressed.lower():
                return True
        return False

    before = termios.tcgetattr(stdin)
    tty.setcbreak(stdin)
    try:
        yield is_asked_to_leave
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
