"""The dashboard's server: on the loopback interface of this machine, and there alone."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

import uvicorn

from shoal.client import connect
from shoal.web.access import Keys
from shoal.web.app import make_app

FAREWELL_S = 1
"""How long requests that are under way may take when the server ends."""


def make_server(
    name: str, listening: socket.socket, token: str, ready: Callable[[], object]
) -> uvicorn.Server:
    """A server of the dashboard of an environment; `run(sockets=[listening])` serves.

    Args:
        name: of the environment, as `Environment.name` says it.
        listening: from `listen`.
        token: lets people in.
        ready: called when pages can be had.
    """

    def is_stopping() -> bool:
        return server.should_exit

    keys = Keys(token, listening.getsockname()[1])
    app = make_app(name, lambda: connect(name, create=False), keys, is_stopping)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=FAREWELL_S,
    )
    server = _Server(config, ready)
    return server


def serve(server: uvicorn.Server, listening: socket.socket, *, with_parent: bool = False) -> None:
    """Serve until a signal ends it.

    Args:
        server: from `make_server`.
        listening: the same as there.
        with_parent: end when standard input does, because whoever holds its other end did.
    """
    if with_parent:

        def leave_with_parent() -> None:
            while os.read(0, 4096):  # not by sys.stdin, whose lock would hold up our end
                pass
            server.should_exit = True
            time.sleep(10 * FAREWELL_S)
            os._exit(1)  # whatever still holds it up, nobody is left who would end it

        threading.Thread(target=leave_with_parent, daemon=True).start()
    server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._ready()
