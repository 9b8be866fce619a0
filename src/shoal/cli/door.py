"""The dashboard's door in `shoal up`: nobody waits behind it until somebody knocks.

The supervisor only holds the socket. Who opens the printed address starts `shoal ui`, a process of
its own that takes the socket over: the dashboard costs nothing while nobody looks, it can't hold
up the supervisor, and when it breaks the next visitor starts another.
"""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import threading
import time

from shoal.web.address import TOKEN_VARIABLE, listen, new_token, url_of

log = logging.getLogger(__name__)

AFTER_FAILURE_S = 5.0
FAREWELL_S = 5.0
"""How long the dashboard may take to end; one that is stuck, or stopped, is killed then."""


class Door:
    """Opens the dashboard of an environment when it is first visited. Use it with `with`.

    Args:
        environment: its name.
        port: to listen on; 0 takes any that is free.

    Raises:
        PortTaken: it can't be had.
    """

    def __init__(self, environment: str, port: int) -> None:
        self._environment = environment
        self._token = new_token()
        self._listener = listen(port)
        self._end, self._leave = os.pipe()
        self._child: subprocess.Popen[bytes] | None = None
        self._watchman = threading.Thread(target=self._watch, name="dashboard", daemon=True)

    @property
    def url(self) -> str:
        """What to open in a browser; whoever has it may do what this user may."""
        return url_of(self._listener, self._token)

    def __enter__(self) -> Door:
        self._watchman.start()
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._leave)  # which the process has as its standard input, too
        self._watchman.join(FAREWELL_S)
        if self._watchman.is_alive() and self._child is not None:
            self._child.kill()
            self._watchman.join()
        os.close(self._end)
        self._listener.close()

    def _watch(self) -> None:
        while True:
            knocked = select.select([self._listener.fileno(), self._end], [], [])[0]
            if self._end in knocked:
                return
            began = time.monotonic()
            code = self._open()
            if code and time.monotonic() - began < AFTER_FAILURE_S:
                log.error("the dashboard ended with exit code %d", code)
                if select.select([self._end], [], [], AFTER_FAILURE_S)[0]:
                    return

    def _open(self) -> int:
        """Run the dashboard until it ends, at the latest when this process lets go of its pipe."""
        fd = self._listener.fileno()
        words = ["ui", "-e", self._environment, "--fd", str(fd), "--with-parent", "--no-open"]
        with subprocess.Popen(
            # -P: a module in the current folder must not pass for one of ours.
            [sys.executable, "-P", "-m", "shoal.cli.main", *words],
            stdin=self._end,
            stdout=subprocess.DEVNULL,
            pass_fds=[fd],
            start_new_session=True,
            env={**os.environ, TOKEN_VARIABLE: self._token},
        ) as self._child:
            return self._child.wait()
