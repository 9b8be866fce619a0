"""`shoal destroy`: deletes an AWS environment and all that is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shoal.cli.stack_screen import account_options

if TYPE_CHECKING:
    from shoal.aws.destroy import Destruction, Target


@click.command("destroy", short_help="Delete an environment on AWS, and all in it.")
@click.argument("name", metavar="NAME[@REGION]")
@account_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(name: str, part: Any, region: str | None, profile: str | None, yes: bool) -> None:
    """Delete the fleet NAME and its scheduler NAME-scheduler, with all jobs, results and logs.

    Says what will go, and asks. Ends the workers, empties the buckets, deletes the stacks. What
    is interrupted goes on when run again. Ends with 1 when something stays.
    """
    from shoal.aws.account import open_account
    from shoal.aws.destroy import Destruction
    from shoal.cli.stack_screen import Screen, place_of

    plain, place = place_of(name, region)
    account = open_account(profile, place)
    screen = Screen()
    gone = 0

    def count(number: int) -> None:
        nonlocal gone
        gone += number
        screen.say(f"{gone:,} objects deleted")

    destruction = Destruction(account, report=screen.event, say=screen.say, count=count)
    targets = destruction.find(plain, part)
    _show(destruction, targets, f"account {account.number}, region {account.region}")
    if not yes:
        _ask(plain)
    with screen.at_work():
        destruction.run(targets)
    names = " and ".join(target.stack.name for target in targets)
    screen.say(f"{names} deleted; the bucket of bundles and templates stays for other deployments")


def _show(destruction: Destruction, targets: list[Target], place: str) -> None:
    from shoal.aws.destroy import COUNT_TO
    from shoal.cli.output import print_table, say

    say(f"to be deleted ({place}):")
    print_table(
        ("stack", "part", "status", "workers", "objects", "buckets"),
        [
            (
                target.stack.name,
                target.part,
                target.stack.status,
                str(target.workers),
                f"{target.objects:,}" + " or more" * (target.objects >= COUNT_TO),
                ", ".join(target.buckets),
            )
            for target in targets
        ],
    )
    unfinished = destruction.unfinished(targets)
    if unfinished:
        say(f"{unfinished:,} job{'s are' if unfinished != 1 else ' is'} not over, and will be lost")


def _ask(name: str) -> None:
    import sys

    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to be asked: add --yes to delete all this.")
    typed = click.prompt("type the name to delete all this", default="", show_default=False)
    if typed != name:
        click.echo("not deleted: that was another name", err=True)
        raise click.Abort
