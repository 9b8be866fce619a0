"""`shoal config`: the settings in force, and where each came from."""

from __future__ import annotations

import click

from shoal.cli.options import environment_option, json_option


@click.command("config", short_help="The settings in force, and where each came from.")
@environment_option
@json_option
def command(environment: str | None, as_json: bool) -> None:
    """Show each setting, its value and its source.

    Settings come from .shoal/shoal.toml in the environment's folder, overridden by variables
    like SHOAL_MAX_WORKERS, overridden by flags.
    """
    import msgspec

    from shoal.cli.output import print_json, print_table
    from shoal.environment import find_environment

    layout, loaded = find_environment(environment)
    values = msgspec.structs.asdict(loaded.settings)
    if as_json:
        print_json(
            {
                "environment": str(layout.root),
                "file": str(layout.settings),
                "settings": {
                    name: {"value": value, "source": loaded.sources[name]}
                    for name, value in values.items()
                },
            }
        )
        return
    print_table(
        ("setting", "value", "from"),
        [(name, _plain(value), loaded.sources[name]) for name, value in values.items()],
    )


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(repr(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else repr(value)
