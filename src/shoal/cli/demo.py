"""`shoal demo`: the whole story in a minute, on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from shoal.demo.example import Example

MOST_WORKERS = 4
"""More would run the corners faster than a person can watch."""

SETTINGS = """\
# Written by 'shoal demo'.
max_workers = {workers}
retry = 2
job_success_string = "CHARACTERIZATION COMPLETE"
linger_s = 1.0
backoff_base_s = 1.0
"""


@click.command("demo", short_help="The whole story in a minute, on this machine.")
@click.option(
    "--folder",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to run it: a new or empty folder.  [default: a temporary one]",
)
@click.option(
    "--keep/--no-keep", default=True, show_default=True, help="Whether the folder stays afterwards."
)
@click.option(
    "--corners",
    default=30,
    show_default=True,
    metavar="N",
    type=click.IntRange(2, 30),
    help="How many jobs.",
)
def command(folder: Path | None, keep: bool, corners: int) -> None:
    """Watch the whole story: a real sweep, workers from zero and back, one of them killed.

    Characterises a logic gate over process, voltage and temperature corners, each a job folder of
    its own that is dropped in while 'shoal up' works. One corner fails once and is retried. One
    worker is killed in mid-run, and nothing is lost. All of it takes place in one folder.

    Ends with 0 when all is as it should be, else with 1.
    """
    from shoal.cli.main import EXIT_UNSUCCESSFUL
    from shoal.demo.example import Example
    from shoal.demo.story import DemoFailed

    example = Example(corners)
    with _folder(folder, keep=keep) as place:
        try:
            good = _run(place, example, kept=keep)
        except DemoFailed as failed:
            click.echo(f"shoal: {failed}", err=True)
            good = False
    if not good:
        raise click.exceptions.Exit(EXIT_UNSUCCESSFUL)


def _run(folder: Path, example: Example, *, kept: bool) -> bool:
    """Run the story in a folder; whether it ended as it should."""
    from shoal.cli.demo_report import report
    from shoal.cli.demo_screen import screen
    from shoal.demo.audit import problems
    from shoal.demo.story import Story
    from shoal.demo.supervision import Supervision
    from shoal.environment import open_local

    workers = _write_settings(folder)
    with closing(open_local(str(folder), create=True)) as environment:
        supervision = Supervision(folder, environment.layout.logs / "up.log")
        try:
            with screen(len(example.corners), workers) as shown:
                facts = Story(environment, supervision, example, shown).run()
        except KeyboardInterrupt:
            click.echo("interrupted: the workers finish what they run and leave", err=True)
            if kept:
                click.echo(f"everything lies in {folder}", err=True)
            raise
        finally:
            _let_nothing_interrupt()
            supervision.end_all(environment.fleet)
        wrong = problems(facts, example.corners)
        report(facts, wrong, example, environment.layout, kept=kept)
    return not wrong


def _let_nothing_interrupt() -> None:
    """From here on the processes of the demo are ended, which must not stop half-way."""
    import signal

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _write_settings(folder: Path) -> int:
    """Make the folder's settings; returns how many workers there may be."""
    import os

    from shoal.local.layout import Layout

    workers = min(max(2, os.cpu_count() or 1), MOST_WORKERS)
    file = Layout(folder).settings
    file.parent.mkdir(parents=True)
    file.write_text(SETTINGS.format(workers=workers), encoding="utf-8")
    return workers


@contextmanager
def _folder(wanted: Path | None, *, keep: bool) -> Iterator[Path]:
    """The folder to use; removed at the end unless it is to be kept."""
    import os
    import shutil
    import signal
    import tempfile

    from shoal.core.errors import BucketError

    # A closed terminal or a polite kill is to clean up as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    if wanted is not None and wanted.is_dir() and any(wanted.iterdir()):
        raise BucketError(f"{wanted} is not empty", "name a new folder for the demo")
    if wanted is None:
        place = Path(tempfile.mkdtemp(prefix="shoal-demo-"))
    else:
        place = Path(os.path.abspath(wanted))
        place.mkdir(parents=True, exist_ok=True)
    try:
        yield place
    finally:
        if not keep:
            shutil.rmtree(place, ignore_errors=True)
