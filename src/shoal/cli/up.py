"""`shoal up`: watch a folder, scale workers from zero and back, reap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.local.attention import SignalAttention
    from shoal.local.environment import LocalEnvironment

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
    help="A file with this ending starts a job.  [default: .sh]",
)
@click.option("--retry", type=int, metavar="N", help="Retries of jobs that come as folders.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def command(
    folder: Path | None,
    environment: str | None,
    max_workers: int | None,
    until_idle: bool,
    trigger_suffix: tuple[str, ...],
    retry: int | None,
    quiet: bool,
) -> None:
    """Watch FOLDER: take in job folders, start workers, requeue what was interrupted.

    Put inputs and then an executable (a file ending in .sh) in a folder of their own below
    FOLDER; results appear beside them. Ctrl-C lets the running jobs finish and starts no more;
    Ctrl-C again leaves them to themselves. Workers don't need this process to go on.
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
    opened = open_local(name, create=True, flags=flags)
    try:
        run_supervisor(opened, until_idle=until_idle, report=report)
    finally:
        opened.close()


def run_supervisor(
    opened: LocalEnvironment, *, until_idle: bool, report: Callable[[str], None]
) -> None:
    """Supervise an environment in this process.

    Args:
        opened: the environment.
        until_idle: return when all is done.
        report: takes what to tell a person, a line each.

    Raises:
        EnvironmentBusy: another supervisor does.
    """
    import os

    from shoal.job_folder import problem_with
    from shoal.local.attention import SignalAttention
    from shoal.local.bells import SUPERVISOR
    from shoal.local.clock import SystemClock
    from shoal.local.fleet import supervisor_lock
    from shoal.local.watch import FolderWatch
    from shoal.supervisor import Supervisor

    settings = opened.settings
    with supervisor_lock(opened.layout), opened.bells.hang(SUPERVISOR, "main") as bell:
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
        )
        supervisor.run(until_idle=until_idle)
        if attention.draining:
            _drain(opened, attention, report)
        elif until_idle:
            counts = opened.store.counts().by_status
            said = ", ".join(f"{number:,} {status}" for status, number in counts.items() if number)
            report(f"all jobs are over and all workers gone: {said or 'there were no jobs'}")


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
