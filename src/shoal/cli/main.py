"""`shoal`: the command line. One file a verb; a verb is imported when it is called for."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import Any

import click

from shoal import __version__
from shoal.core.errors import EnvironmentBusy, EnvironmentMissing, ShoalError, StoreError

VERBS = (
    "demo",
    "up",
    "submit",
    "status",
    "top",
    "report",
    "ui",
    "wait",
    "logs",
    "fetch",
    "events",
    "relay",
    "cancel",
    "retry",
    "pause",
    "resume",
    "workers",
    "doctor",
    "deploy",
    "destroy",
    "config",
    "completion",
)

EXIT_UNSUCCESSFUL = 1
EXIT_BAD_INPUT = 2
EXIT_UNUSABLE = 3
EXIT_INTERRUPTED = 130

_REMEDIES = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some disk space",
    errno.EROFS: "name a folder that you may write to",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
}


class Verbs(click.Group):
    """Finds a verb's command in the module of its name."""

    def list_commands(self, context: click.Context) -> list[str]:
        """All verbs, in the order a newcomer meets them."""
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import a verb."""
        if name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"shoal.cli.{name}").command
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; for one that does not exist, name the nearest."""
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            import difflib

            if guess := difflib.get_close_matches(args[0], VERBS, n=1):
                raise click.UsageError(
                    f"{error.message} Did you mean '{guess[0]}'?", context
                ) from None
            raise

    def invoke(self, context: click.Context) -> Any:
        """Run the verb; that a reader of its output has enough, as in `| head`, is no failure."""
        try:
            return super().invoke(context)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in (1, 2):
                os.dup2(nowhere, stream)
            raise click.exceptions.Exit(0) from None


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="shoal")
def cli() -> None:
    """Run batch jobs on a fleet without a head node.

    An environment is a folder with job folders in it. Start with 'shoal demo'.

    \b
    Exit codes: 0 done, 1 a job was not successful, 2 bad usage or input,
    3 the environment can't be used, 130 interrupted.
    """


def main() -> None:
    """Run the command line; errors made on purpose end with their text and an exit code."""
    try:
        # In this mode click returns the code of a command that asks for an exit; verbs return None.
        sys.exit(cli.main(prog_name="shoal", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except ShoalError as error:
        _complain(str(error))
        sys.exit(exit_code_of(error))
    except OSError as error:
        # The system refuses what is no defect of ours: a right, room, a file in the way.
        _complain(f"{error}: {_REMEDIES.get(error.errno or 0, 'look at what it names')}")
        sys.exit(EXIT_UNUSABLE)


def _complain(what: str) -> None:
    colour = None if os.environ.get("NO_COLOR") else "red"
    click.secho(f"shoal: {what}", err=True, fg=colour)


def exit_code_of(error: ShoalError) -> int:
    """Exit code for an error: who can mend it decides."""
    unusable = (StoreError, EnvironmentMissing, EnvironmentBusy)
    if isinstance(error, unusable) or error.code.startswith("aws_"):
        return EXIT_UNUSABLE
    return EXIT_BAD_INPUT


if __name__ == "__main__":
    main()
