"""`shoal up`: watch a folder, scale workers from zero and back, reap."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.cli.door import Door
    from shoal.local.attention import SignalAttention
    from shoal.local.environment import LocalEnvironment
    from shoal.pipeline.route import Route

DRAIN_EVERY_S = 0.5


@click.command("up", short_help="Watch a folder and run its jobs.")
@click.argument(
    "folder", metavar="[FOLDER]", required=False, type=click.Path(path_type=Path, file_okay=False)
)
@click.option("-e", "--env", "environment", envvar="SHOAL_ENV", metavar="NAME", hidden=True)
@click.option(
    "--max-workers", type=int, metavar="N", help="The most workers.  [default: the cores]"
)
@click.option("--until-idle", is_flag=True, help="End when all jobs are over and all workers gone.")
@click.option(
    "--trigger-suffix",
    multiple=True,
    metavar="SUFFIX",
    help="A file with this ending starts a job. In shoal.toml it holds for 'shoal submit' too."
    "  [default: .sh]",
)
@click.option("--retry", type=int, metavar="N", help="Retries of jobs that come as folders.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="P",
    help="Serve the dashboard on this port.  [default: any that is free]",
)
@click.option("--no-web", is_flag=True, help="Serve no dashboard.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def command(
    folder: Path | None,
    environment: str | None,
    max_workers: int | None,
    until_idle: bool,
    trigger_suffix: tuple[str, ...],
    retry: int | None,
    port: int | None,
    no_web: bool,
    quiet: bool,
) -> None:
    """Watch FOLDER: take in job folders, start workers, requeue what was interrupted.

    Put inputs and then an executable (a file ending in .sh) in a folder of their own below
    FOLDER; results appear beside them. Ctrl-C lets the running jobs finish and starts no more;
    Ctrl-C again leaves them to themselves. Workers don't need this process to go on.

    The dashboard is at the printed address, for whoever has it, on this machine only. With
    --until-idle there is none unless --port asks for it.
    """
    import logging

    from shoal.cli.output import say
    from shoal.environment import open_local

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    name = str(folder) if folder is not None else environment
    flags: dict[str, object] = {
        "max_workers": max_workers,
        "trigger_suffix": trigger_suffix or None,
        "retry": retry,
    }
    report: Callable[[str], None] = (lambda text: None) if quiet else say
    if port is not None and no_web:
        raise click.UsageError("--port and --no-web contradict each other.")
    if port is not None and quiet:
        raise click.UsageError("With --quiet nobody would learn the dashboard's address.")
    if port is None and not (no_web or until_idle or quiet):
        port = 0
    opened = open_local(name, create=True, flags=flags)
    try:
        run_supervisor(opened, until_idle=until_idle, report=report, port=port)
    finally:
        opened.close()


def run_supervisor(
    opened: LocalEnvironment,
    *,
    until_idle: bool,
    report: Callable[[str], None],
    port: int | None = None,
) -> None:
    """Supervise an environment in this process.

    Args:
        opened: the environment.
        until_idle: return when all is done.
        report: takes what to tell a person, a line each.
        port: of the dashboard; 0 is any that is free, None serves none.

    Raises:
        EnvironmentBusy: another supervisor does.
        PortTaken: the dashboard's port can't be had.
        ShoalError: what is Successful could not be passed on to the next environment.
    """
    import os

    from shoal.job_folder import problem_with
    from shoal.local.attention import SignalAttention
    from shoal.local.bells import SUPERVISOR
    from shoal.local.clock import SystemClock
    from shoal.local.fleet import supervisor_lock
    from shoal.local.watch import FolderWatch
    from shoal.pipeline.route import declared_route
    from shoal.supervisor import Supervisor

    settings = opened.settings
    route = declared_route(opened.name)
    with (
        supervisor_lock(opened.layout),
        opened.bells.hang(SUPERVISOR, "main") as bell,
        _passing_on(opened, route, report) as is_done,
        _door(opened.name, port) as door,
    ):
        watch = FolderWatch(str(opened.layout.root), settings.intake_rules, settings.upload_quiet_s)
        attention = SignalAttention(opened.bells, "supervisor", bell, (watch,))
        supervisor = Supervisor(
            opened.store,
            watch,
            opened.fleet,
            attention,
            SystemClock(),
            settings,
            lambda found: problem_with(os.path.join(opened.layout.root, found.key)),
            report,
        )
        suffixes = " or ".join(settings.trigger_suffix)
        report(
            f"watching {opened.layout.root} for files ending in {suffixes},"
            f" up to {settings.worker_limit} workers"
            + (f", passing on to {route.environment}" if route is not None else "")
        )
        if door is not None:
            report(f"the dashboard: {door.url}")
        supervisor.run(until_idle=until_idle, is_done=is_done)
        if attention.draining:
            _drain(opened, attention, report)
        elif until_idle:
            counts = opened.store.counts().by_status
            said = ", ".join(f"{number:,} {status}" for status, number in counts.items() if number)
            report(f"all jobs are over and all workers gone: {said or 'there were no jobs'}")


def _passing_on(
    opened: LocalEnvironment, route: Route | None, report: Callable[[str], None]
) -> AbstractContextManager[Callable[[], bool]]:
    """Pass on what is Successful while inside, where the settings say so; whether all was."""
    if route is None:
        return nullcontext(lambda: True)
    from shoal.pipeline.background import passing_on

    return passing_on(opened, route, report)


def _door(name: str, port: int | None) -> AbstractContextManager[Door | None]:
    if port is None:
        return nullcontext()
    from shoal.cli.door import Door

    return Door(name, port)


def _drain(
    opened: LocalEnvironment, attention: SignalAttention, report: Callable[[str], None]
) -> None:
    """Ask the workers to leave after what they run, and wait for them."""
    asked = attention.drain_requests
    said = 0
    while (alive := opened.fleet.size()) and attention.drain_requests == asked:
        # Again and again: one that was only starting up could not hear it the first time.
        opened.fleet.drain()
        if alive != said:
            workers = f"{alive} worker{'s' * (alive != 1)}"
            report(f"draining: {workers} to finish; Ctrl-C again leaves them to themselves")
            said = alive
        attention.wait(DRAIN_EVERY_S)
    if alive:
        workers = f"{alive} worker{'s' * (alive != 1)}"
        report(f"not waiting for {workers}: they finish what they run, then leave")
