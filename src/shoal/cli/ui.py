"""`shoal ui`: the dashboard of an environment, in the browser."""

from __future__ import annotations

import click

from shoal.cli.options import environment_option


@click.command("ui", short_help="Look at it in the browser.")
@environment_option
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    metavar="P",
    help="Listen there, on this machine only.  [default: any that is free]",
)
@click.option(
    "--open/--no-open",
    "opens",
    default=None,
    help="Open the browser.  [default: if this is a terminal on a desktop]",
)
@click.option("--fd", type=click.IntRange(3), hidden=True)
@click.option("--with-parent", is_flag=True, hidden=True)
def command(
    environment: str | None, port: int, opens: bool | None, fd: int | None, with_parent: bool
) -> None:
    """Serve the dashboard of an environment on this machine until Ctrl-C.

    The URL that is printed holds a secret: whoever has it can look, cancel and retry. Nothing but
    this machine can reach it; from elsewhere, forward the port with ssh -L.
    """
    import os
    import socket
    import sys
    import webbrowser

    from shoal.cli.output import say
    from shoal.client import connect
    from shoal.web.address import TOKEN_VARIABLE, listen, new_token, url_of
    from shoal.web.server import make_server, serve

    with connect(environment, create=False) as client:
        name = client.environment.name
    token = os.environ.pop(TOKEN_VARIABLE, "") or new_token()
    with socket.socket(fileno=fd) if fd is not None else listen(port) as listening:
        url = url_of(listening, token)

        def ready() -> None:
            if with_parent:  # which has said the address
                return
            say(f"dashboard of {name}, until Ctrl-C:")
            click.echo(url)
            sys.stdout.flush()
            if opens or (opens is None and sys.stdout.isatty() and _has_desktop()):
                webbrowser.open(url)

        try:
            server = make_server(name, listening, token, ready)
            serve(server, listening, with_parent=with_parent)
        except KeyboardInterrupt:
            pass


def _has_desktop() -> bool:
    """Whether a browser would open a window, not take over the terminal."""
    import os
    import sys

    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
