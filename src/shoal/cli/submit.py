"""`shoal submit`: job folders, commands, files of jobs, parameter sweeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from shoal.cli.options import environment_option, json_option

if TYPE_CHECKING:
    from shoal.client import Client
    from shoal.core.spec import JobSpec


SHOW_AFTER_S = 0.5


@click.command("submit", short_help="Submit job folders, commands, or sweeps.")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path())
@environment_option
@json_option
@click.option("--command", "shell_command", metavar="CMD", help="A shell command as the job.")
@click.option(
    "--id",
    "job_id",
    metavar="ID",
    help="Id of the job; with --sweep a template like 'v{voltage}'. [default: a new one]",
)
@click.option(
    "--file",
    "jobs_file",
    metavar="FILE",
    type=click.File("rb"),
    help="Jobs as JSON, one a line; '-' is standard input.",
)
@click.option(
    "--sweep",
    metavar="CSV",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A job for each row; {column} in --command stands for its value, quoted for the shell.",
)
@click.option("--retry", type=int, metavar="N", help="Times to run again after a failure.")
@click.option("--success-string", metavar="TEXT", help="Text that the output must hold.")
@click.option("--timeout", type=float, metavar="SECONDS", help="How long an attempt may run.")
@click.option("--priority", type=int, metavar="N", help="Higher is taken first.  [default: 0]")
@click.option("--require", multiple=True, metavar="FILE", help="A file that must be there after.")
@click.option("--set", "variables", multiple=True, metavar="NAME=VALUE", help="A variable to set.")
@click.option("--batch", metavar="ID", help="Id of the batch.  [default: a new one]")
@click.option(
    "--stop-on-success", is_flag=True, help="When one job is Successful, cancel the rest."
)
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag to keep.")
def command(
    paths: tuple[str, ...],
    environment: str | None,
    as_json: bool,
    shell_command: str | None,
    job_id: str | None,
    jobs_file: IO[bytes] | None,
    sweep: Path | None,
    retry: int | None,
    success_string: str | None,
    timeout: float | None,
    priority: int | None,
    require: tuple[str, ...],
    variables: tuple[str, ...],
    batch: str | None,
    stop_on_success: bool,
    tags: tuple[str, ...],
) -> None:
    """Submit jobs. They wait in the queue until a worker takes them.

    All that one call submits is a batch: status, wait, cancel, retry, fetch and report take its id.
    A stack's job folders go to its bucket; s3://BUCKET/FOLDER names one that is there already.

    \b
      shoal submit corners/*                              job folders
      shoal submit --command 'sim --v 0.9' --id v0.9      a command
      shoal submit --file jobs.jsonl                      jobs as JSON, one a line
      shoal submit --sweep params.csv --command 'sim --v {voltage}'
    """
    from shoal.client import connect, new_batch
    from shoal.core.spec import check_batch

    options: dict[str, Any] = {
        "retry": retry,
        "job_success_string": success_string,
        "timeout": timeout,
        "priority": priority,
        "required_files": list(require) or None,
        "environment": _pairs(variables, "--set") or None,
        "tags": _pairs(tags, "--tag") or None,
    }
    options = {name: value for name, value in options.items() if value is not None}
    given = [bool(paths), jobs_file is not None, shell_command is not None or sweep is not None]
    if sum(given) != 1:
        raise click.UsageError("Give job folders, or --command, or --file, or --sweep.")
    if shell_command is not None and not shell_command.strip():
        raise click.UsageError("--command is empty.")
    if sweep is not None and shell_command is None:
        raise click.UsageError("--sweep needs a --command with {column} in it.")
    if jobs_file is not None and (options or job_id is not None):
        raise click.UsageError("With --file, each job says itself what it is: leave out options.")
    if paths and job_id is not None:
        raise click.UsageError("A job folder's id is the path of its executable: leave out --id.")
    batch = check_batch(batch) if batch is not None else new_batch()
    ours = {"batch": batch, "stop_on_success": stop_on_success}
    with connect(environment) as client:
        if paths:
            with _progress_bar(None) as on_progress:
                ids = client.submit_folders(paths, options | ours, on_progress=on_progress)
            _report(batch, len(ids), 0, ids, as_json)
        elif jobs_file is not None:
            _submit_file(client, jobs_file, ours, as_json)
        elif sweep is not None:
            assert shell_command is not None
            _submit_sweep(client, sweep, shell_command, job_id, options | ours, as_json)
        else:
            _submit_one(client, {**options, **ours, "commands": [shell_command]}, job_id, as_json)
        if not as_json and not client.is_supervised() and not client.workers():
            click.echo("Nobody works on this environment yet: start 'shoal up'.", err=True)


def _submit_one(client: Client, job: dict[str, Any], job_id: str | None, as_json: bool) -> None:
    from shoal.client import new_job_id

    name = job_id if job_id is not None else new_job_id("command")
    report = client.submit({**job, "job_id": name})
    _report(job["batch"], report.accepted, report.unchanged, [name], as_json)


def _submit_sweep(
    client: Client,
    sweep: Path,
    template: str,
    job_id: str | None,
    options: dict[str, Any],
    as_json: bool,
) -> None:
    from shoal.cli.sweep import plan_sweep

    specs = plan_sweep(sweep, template, job_id, options)
    with _progress_bar(len(specs)) as on_progress:
        report = client.submit_many(specs, on_progress=on_progress)
    ids = [spec.job_id for spec in specs]
    _report(options["batch"], report.accepted, report.unchanged, ids, as_json)


def _submit_file(client: Client, file: IO[bytes], ours: dict[str, Any], as_json: bool) -> None:
    """Check all of a file before the first of its jobs is accepted, then submit."""
    import shutil
    import tempfile

    with tempfile.TemporaryFile() as kept:
        if not file.seekable():
            shutil.copyfileobj(file, kept)
            kept.seek(0)
            file = kept
        number = sum(1 for _ in _read_jobs(file, ours))
        file.seek(0)
        with _progress_bar(number) as on_progress:
            report = client.submit_many(_read_jobs(file, ours), on_progress=on_progress)
    _report(ours["batch"], report.accepted, report.unchanged, None, as_json)


def _read_jobs(file: IO[bytes], ours: dict[str, Any]) -> Iterator[JobSpec]:
    """The jobs of a file, with what they don't say themselves."""
    from msgspec.structs import replace

    from shoal.core.errors import SpecError
    from shoal.core.spec import parse_job

    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        try:
            spec = parse_job(line, ours["batch"])
        except SpecError as error:
            raise SpecError(
                f"line {number}: {error.what}", f"{error.remedy}. No job was submitted"
            ) from None
        yield replace(spec, stop_on_success=True) if ours["stop_on_success"] else spec


@contextmanager
def _progress_bar(total: int | None) -> Iterator[Callable[[int], None] | None]:
    """A function that shows how many jobs were taken, or None where no person looks.

    The bar appears only when it takes long enough to be read.
    """
    import sys
    import time

    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    shown_at = time.monotonic() + SHOW_AFTER_S
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(
        "submitting", *columns, console=Console(stderr=True), transient=True, refresh_per_second=5
    )
    task = bar.add_task("submitting", total=total)

    def show(taken: int) -> None:
        bar.update(task, completed=taken)
        if not bar.live.is_started and time.monotonic() >= shown_at:
            bar.start()

    try:
        yield show
    finally:
        bar.stop()


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} takes NAME=VALUE, not {text!r}.")
        pairs[name] = value
    return pairs


def _report(
    batch: str, accepted: int, unchanged: int, ids: list[str] | None, as_json: bool
) -> None:
    if as_json:
        from shoal.cli.output import print_json

        print_json({"batch": batch, "accepted": accepted, "unchanged": unchanged, "job_ids": ids})
        return
    from shoal.cli.output import one_line

    if ids is not None and len(ids) <= 10:
        for name in ids:
            click.echo(name)
    also = f" ({unchanged:,} were there already)" if unchanged else ""
    said = f"{accepted:,} job{'s' * (accepted != 1)} submitted{also}"
    click.echo(f"{said}, batch {one_line(batch)}", err=True)
