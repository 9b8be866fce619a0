"""`shoal deploy`: makes or updates an AWS environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shoal.cli.stack_screen import account_options

if TYPE_CHECKING:
    from shoal.aws.account import Account
    from shoal.aws.deploy import Deployed, Deployment
    from shoal.cli.stack_screen import Screen


@click.command("deploy", short_help="Make or update an environment on AWS.")
@click.argument("name", metavar="NAME[@REGION]")
@account_options
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Value of a template's parameter; those not given keep what they have.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option(
    "--bucket",
    metavar="BUCKET",
    help="Where to upload to.  [default: shoal-artifacts-ACCOUNT-REGION, made when missing]",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Function bundle made by 'make bundle'.  [default: one is built]",
)
@click.option(
    "--templates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Templates of your own.  [default: those that came with Shoal]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(
    name: str,
    part: Any,
    region: str | None,
    profile: str | None,
    parameters: tuple[str, ...],
    dry_run: bool,
    bucket: str | None,
    bundle: Path | None,
    templates: Path | None,
    as_json: bool,
) -> None:
    """Make, or bring up to date, two stacks on AWS: NAME-scheduler, and the fleet NAME.

    With --part scheduler only a scheduler, NAME, for machines that you launch yourself; with
    --part fleet only a fleet, for the scheduler that --parameter TagKey=SCHEDULER names.

    Needs AWS credentials, found in the usual ways. Ends with 1 when a stack fails.
    """
    from shoal.aws.account import open_account
    from shoal.aws.deploy import Deployment
    from shoal.aws.stacks.plan import plan
    from shoal.aws.stacks.templates import read_templates
    from shoal.cli.stack_screen import Screen, place_of

    plain, place = place_of(name, region)
    wanted = plan(plain, part, _parse(parameters), read_templates(templates))
    account = open_account(profile, place)
    screen = Screen()
    screen.say(f"account {account.number}, region {account.region}, as {account.identity}")
    deployment = Deployment(
        account, wanted, bucket=bucket, bundle=bundle, report=screen.event, say=screen.say
    )
    if dry_run:
        _show_preview(deployment, screen, as_json=as_json)
        return
    deployed = []
    with screen.at_work():
        for done in deployment.run():
            screen.say(f"stack {done.stack.name} is {done.how}")
            deployed.append(done)
    _show(deployed, account, as_json=as_json)


def _parse(parameters: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in parameters:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE.", param_hint="--parameter")
        if key in found:
            raise click.BadParameter(f"{key} is given twice.", param_hint="--parameter")
        found[key] = value
    return found


def _show_preview(deployment: Deployment, screen: Screen, *, as_json: bool) -> None:
    from shoal.cli.output import print_json, print_table

    with screen.at_work():
        previews = list(deployment.preview())
    if as_json:
        print_json(
            [
                {
                    "stack": preview.name,
                    "how": preview.how,
                    "changes": [change._asdict() for change in preview.changes],
                }
                for preview in previews
            ]
        )
        return
    rows = [
        (preview.name, change.action, change.resource, change.kind, change.replaces)
        for preview in previews
        for change in preview.changes
    ]
    if rows:
        print_table(("stack", "action", "resource", "type", "replaces"), rows)
    for preview in previews:
        if preview.how == "unchanged":
            screen.say(f"stack {preview.name} would stay as it is")
    screen.say("nothing was changed: this was a dry run")


def _show(deployed: list[Deployed], account: Account, *, as_json: bool) -> None:
    from shoal.cli.output import print_json, print_table, say

    if as_json:
        print_json(
            [
                {
                    "stack": done.stack.name,
                    "part": done.part,
                    "how": done.how,
                    "region": account.region,
                    "outputs": done.stack.outputs,
                }
                for done in deployed
            ]
        )
        return
    print_table(
        ("stack", "output", "value"),
        [
            (done.stack.name, output, value)
            for done in deployed
            for output, value in done.stack.outputs.items()
        ],
    )
    last = deployed[-1]
    environment = f"aws:{last.stack.name}@{account.region}"
    say(f"\nthis environment is {environment}; try it:\n")
    say(f"  export SHOAL_ENV={environment}")
    if last.part == "scheduler":
        from shoal.aws.names import default_queue

        tag = f"{last.stack.name} = {default_queue(last.stack.name)}"
        say(f"  launch an instance with the role IAMRoleForEC2Workers and the tag {tag}")
    say("  shoal submit --command 'echo Hello World' --id hello")
    say("  shoal wait hello && shoal logs hello")
