"""Runs the real AWS command line for machines' scripts, fast: a process that has it imported forks.

A machine's `aws` (see `aws_shim.py`) connects, hands over its stdin, stdout and stderr, and says
its folder, environment and arguments; the fork runs awscli with them and reports the exit status.
When the caller goes away its fork ends too. Arguments: the socket's path, and as JSON the variables
that callers have in common. A caller that has these and no other `AWS_...` gets a client of S3 that
was made before the fork, under its own credentials: making one is most of what a call costs.
"""

from __future__ import annotations

import array
import ctypes
import functools
import gc
import json
import os
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

OWN = {
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DATA_PATH"),
    *("AWS_SSM_INSTANCE_ID", "AWS_SSM_REGION_NAME"),
}
"""Variables that differ from caller to caller, or are ours, or say nothing to the command line."""


def prepare(common: dict[str, str]) -> tuple[Any, Callable[[], None]]:
    """The command line's driver with all imported, read and made that does not hang on a caller.

    The second is for a fork to call, once its environment is the caller's.
    """
    import awscli.clidriver
    import botocore.loaders

    # Data files are read once; each fork finds them in memory.
    loader = botocore.loaders.JSONFileLoader
    read = functools.cache(functools.partial(loader.load_file, loader()))
    loader.load_file = lambda _self, path: read(path)
    os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    # A call that fails at once, on a closed port, goes through all that a good one imports.
    os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    os.environ["AWS_MAX_ATTEMPTS"] = "1"
    null = os.open(os.devnull, os.O_RDWR)
    saved = os.dup(1), os.dup(2)
    os.dup2(null, 1)
    os.dup2(null, 2)
    for arguments in (
        ["cp", __file__, "s3://nowhere/key"],
        ["sync", "s3://nowhere/key", "/tmp/nowhere"],
    ):
        sys.argv = ["aws", "s3", *arguments]
        awscli.clidriver.main()
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(saved[0], 1)
    os.dup2(saved[1], 2)
    forget()
    # The driver reads the environment when it runs, the configuration file (none) now.
    driver = awscli.clidriver.create_clidriver()
    driver._get_command_table()
    take_over = make_client(driver.session, common)
    forget()
    gc.collect()
    gc.freeze()
    return driver, take_over


def forget() -> None:
    """Drop what the environment says of AWS, but for where awscli found its data files."""
    for name in [n for n in os.environ if n.startswith("AWS_") and n != "AWS_DATA_PATH"]:
        del os.environ[name]


def settings() -> dict[str, str]:
    """What the environment says of AWS and callers have in common."""
    return {k: v for k, v in os.environ.items() if k.startswith("AWS_") and k not in OWN}


def make_client(session: Any, common: dict[str, str]) -> Callable[[], None]:
    """Make a client of S3 in advance; the result lets it act for whom the environment names."""
    from botocore.credentials import Credentials

    os.environ |= {k: v for k, v in common.items() if k.startswith("AWS_")}
    expected = settings()
    session._credentials = Credentials("a", "b", "c")
    make = session.create_client
    ready = make("s3")
    ready.get_paginator("list_objects_v2")

    def create_client(service: str, **how: Any) -> Any:
        asked = [value for name, value in how.items() if name != "verify"]
        return ready if service == "s3" and not any(asked) else make(service, **how)

    def take_over() -> None:
        if settings() == expected and "AWS_SESSION_TOKEN" in os.environ:
            session._credentials.access_key = os.environ["AWS_ACCESS_KEY_ID"]
            session._credentials.secret_key = os.environ["AWS_SECRET_ACCESS_KEY"]
            session._credentials.token = os.environ["AWS_SESSION_TOKEN"]
            session.create_client = create_client
        else:
            session._credentials = None

    return take_over


def receive(connection: socket.socket) -> tuple[list[int], dict[str, Any]]:
    """The caller's three descriptors, and what it asks for."""
    size = struct.calcsize("=I")
    head, ancillary, _flags, _address = connection.recvmsg(
        size, socket.CMSG_LEN(3 * array.array("i").itemsize)
    )
    fds = array.array("i")
    for _level, _kind, data in ancillary:
        fds.frombytes(data)
    (length,) = struct.unpack("=I", head)
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return list(fds), json.loads(body)


def run(connection: socket.socket, driver: Any, take_over: Callable[[], None]) -> None:
    """In the fork: become the caller's `aws`."""
    fds, request = receive(connection)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    data = os.environ["AWS_DATA_PATH"]
    os.environ.clear()
    os.environ.update(request["environment"], AWS_DATA_PATH=data)
    take_over()
    os.chdir(request["cwd"])
    sys.argv = ["aws", *request["arguments"]]

    def end_with_the_caller() -> None:
        connection.recv(1)
        os._exit(137)

    threading.Thread(target=end_with_the_caller, daemon=True).start()
    try:
        status = driver.main()
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(struct.pack("=i", status or 0))


def main() -> None:
    """Serve until killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    path = sys.argv[1]
    os.environ["HOME"] = os.path.dirname(path)
    driver, take_over = prepare(json.loads(sys.argv[2]))
    # Forks are over before there is anything to collect.
    gc.disable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(128)
        while True:
            connection, _address = listener.accept()
            with connection:
                if os.fork() == 0:
                    code = 255
                    try:
                        listener.close()
                        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                        run(connection, driver, take_over)
                        code = 0
                    except BaseException:
                        traceback.print_exc()
                        raise
                    finally:
                        os._exit(code)


if __name__ == "__main__":
    main()
