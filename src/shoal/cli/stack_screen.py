"""What `deploy` and `destroy` have in common on the screen: events as lines, and how they end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from shoal.aws.stacks.following import StackEvent

PARTS = ("scheduler", "fleet")


def account_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--part`, `--region` and `--profile`."""
    function = click.option(
        "--profile",
        metavar="NAME",
        help="Profile of the AWS configuration.  [default: AWS_PROFILE]",
    )(function)
    function = click.option(
        "--region", metavar="REGION", help="The same as NAME@REGION.  [default: AWS_REGION]"
    )(function)
    return click.option("--part", type=click.Choice(PARTS), help="Only this of the two stacks.")(
        function
    )


def place_of(name: str, region: str | None) -> tuple[str, str | None]:
    """The name and the region that a person means with NAME[@REGION] and --region."""
    from shoal.aws.account import split_name

    plain, named = split_name(name)
    if named is not None and region is not None and named != region:
        raise click.UsageError(f"{name} names another region than --region {region}.")
    return plain, named or region


class Screen:
    """Lines on standard error; on a terminal in colour, with a sign that something goes on."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console: Console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line about what is being done."""
        self.console.print(text, markup=False)

    def event(self, event: StackEvent) -> None:
        """A line for an event: when, what has become of what, and why."""
        from datetime import datetime

        from rich.text import Text

        from shoal.cli.output import one_line

        at = datetime.fromtimestamp(event.at).astimezone().strftime("%H:%M:%S")
        reason = f"  {one_line(event.reason)}" if event.reason else ""
        line = Text.assemble(
            (f"{at}  ", "dim"),
            (f"{event.status:<30}", _style(event.status)),
            f"  {event.resource}  ",
            (event.kind, "dim"),
            (reason, "red" if event.is_failure else "dim"),
        )
        self.console.print(line)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Show, on a terminal, that something goes on; end with 1 when a stack has failed."""
        from shoal.aws.stacks.emptying import CantEmpty
        from shoal.aws.stacks.stack import StackFailed
        from shoal.cli.main import EXIT_UNSUCCESSFUL

        try:
            if sys.stderr.isatty():
                with self.console.status("at work; Ctrl-C stops watching, the same again goes on"):
                    yield
            else:
                yield
        except (StackFailed, CantEmpty) as error:
            self.console.print(f"shoal: {error}", style="red", markup=False)
            raise click.exceptions.Exit(EXIT_UNSUCCESSFUL) from None


def _style(status: str) -> str:
    if "FAILED" in status or "ROLLBACK" in status:
        return "red"
    if status.endswith("_COMPLETE"):
        return "green"
    return "yellow"
