"""Where the dashboard is reached: a socket on the loopback interface, and a URL with a secret.

Apart from the server, so that `shoal up` can hold the socket without loading it.
"""

from __future__ import annotations

import secrets
import socket

from shoal.core.errors import ShoalError

HOST = "127.0.0.1"
TOKEN_VARIABLE = "SHOAL_UI_TOKEN"  # noqa: S105 - its name
"""Hands the secret to a dashboard that another process has announced already."""


class PortTaken(ShoalError):
    """The port that was asked for can't be listened at."""

    code = "port_taken"


def listen(port: int) -> socket.socket:
    """A socket that listens at a loopback port; 0 is any that is free.

    Raises:
        PortTaken: it can't be had.
    """
    # The protocol is named, because asyncio turns off Nagle's delay only where it is.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        raise PortTaken(
            f"port {port} can't be used ({getattr(error, 'strerror', None) or error})",
            "name another with --port, or leave it out for any that is free",
        ) from None
    return listening


def new_token() -> str:
    """A secret for a URL."""
    return secrets.token_urlsafe(24)


def url_of(listening: socket.socket, token: str) -> str:
    """What to open in a browser."""
    return f"http://{HOST}:{listening.getsockname()[1]}/?token={token}"
