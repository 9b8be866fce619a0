"""`shoal completion`: the script that completes verbs, options and job ids in a shell."""

from __future__ import annotations

import click


@click.command("completion", short_help="Print a script for shell completion.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
      bash:  shoal completion bash > ~/.local/share/bash-completion/completions/shoal
      zsh:   shoal completion zsh > ~/.zfunc/_shoal
      fish:  shoal completion fish > ~/.config/fish/completions/shoal.fish
    """
    from click.shell_completion import get_completion_class

    from shoal.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "shoal", "_SHOAL_COMPLETE").source())
