"""`shoal config`: the settings in force, and where each came from."""

from __future__ import annotations

import click

from shoal.cli.options import environment_option, json_option


@click.command("config", short_help="The settings in force, and where each came from.")
@environment_option
@json_option
def command(environment: str | None, as_json: bool) -> None:
    """Show each setting, its value and its source.

    Settings of a folder come from .shoal/shoal.toml in it, overridden by variables like
    SHOAL_MAX_WORKERS, overridden by flags. Those of a stack are its parameters.
    """
    from shoal.cli.output import print_json, print_table
    from shoal.environment import configuration

    found = configuration(environment)
    if as_json:
        print_json(
            {
                "environment": found.environment,
                "file": found.file,
                "settings": {
                    name: {"value": value, "source": source}
                    for name, (value, source) in found.settings.items()
                },
            }
        )
        return
    print_table(
        ("setting", "value", "from"),
        [(name, _plain(value), source) for name, (value, source) in found.settings.items()],
    )


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(repr(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else repr(value)
