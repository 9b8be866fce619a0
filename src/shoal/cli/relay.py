"""`shoal relay`: what is Successful here becomes job folders in the next environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shoal.cli.options import environment_option, json_option

if TYPE_CHECKING:
    from shoal.pipeline.route import Route


@click.command("relay", short_help="Pass results on to the next environment of a pipeline.")
@environment_option
@json_option
@click.option("--to", metavar="NEXT", help="A folder, or aws:STACK[@REGION].  [default: [next]]")
@click.option(
    "--files",
    multiple=True,
    metavar="GLOB",
    help="Pass on the files whose paths match; may be given again.  [default: [next], else *]",
)
@click.option(
    "--executable",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="What to start there.  [default: [next]]",
)
@click.option("-f", "--follow", is_flag=True, help="Go on passing on as jobs end.")
@click.option("--drop", is_flag=True, help="Give up what could not be passed on, and say what.")
def command(
    environment: str | None,
    as_json: bool,
    to: str | None,
    files: tuple[str, ...],
    executable: Path | None,
    follow: bool,
    drop: bool,
) -> None:
    """Pass on what is Successful: its files become a job folder of the next environment.

    Where to, which files and which executable is declared as [next] in .shoal/shoal.toml, and
    'shoal up' passes on by itself. This does it where no 'shoal up' runs: for a stack, from any
    machine, with options. Each run is passed on once, whoever does it and however often.

    \b
      shoal relay -e aws:meshing --to ./simulation --executable simulate.sh --follow

    Ends with 1 when something could not be passed on.
    """
    from contextlib import closing

    from shoal.cli.main import EXIT_UNSUCCESSFUL
    from shoal.cli.output import print_json, say
    from shoal.environment import open_environment
    from shoal.pipeline.ledger import drop_held, held_runs
    from shoal.pipeline.passing import Pipeline

    with closing(open_environment(environment)) as source:
        if drop:
            dropped = drop_held(source)
            if as_json:
                print_json({"dropped": [_item(run.job_id, run.run, run.reason) for run in dropped]})
            for run in () if as_json else dropped:
                click.echo(f"dropped: job {run.job_id!r}, run {run.run}: {run.reason}")
            return
        route = _route(source.name, to, files, executable)
        pipeline = Pipeline(source, route, say)
        pipeline.check()
        if follow:
            pipeline.follow()
        passed = pipeline.pass_on()
        held = held_runs(source)
    if as_json:
        items = [_item(run.job_id, run.run, run.reason) for run in held]
        print_json({"passed": passed, "held": items})
    elif not passed and not held:
        say("nothing new to pass on")
    if held:
        raise click.exceptions.Exit(EXIT_UNSUCCESSFUL)


def _route(source: str, to: str | None, files: tuple[str, ...], executable: Path | None) -> Route:
    """What is declared, overridden by options."""
    import os

    from shoal.core.errors import SettingsError
    from shoal.environment import is_cloud
    from shoal.pipeline.route import Route, declared_route

    declared = None if is_cloud(source) else declared_route(source)
    if declared is not None:
        to, executable = to or declared.environment, executable or declared.executable
        files = files or declared.files
    if to is None or executable is None:
        raise SettingsError(
            f"it is not said where the results of {source} go on",
            "give --to and --executable, or for a folder declare [next] in .shoal/shoal.toml",
        )
    return Route(to if is_cloud(to) else os.path.abspath(to), executable, files or ("*",))


def _item(job_id: str, run: int, reason: str) -> dict[str, object]:
    return {"job_id": job_id, "run": run, "reason": reason}
