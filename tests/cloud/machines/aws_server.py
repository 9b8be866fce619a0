"""Runs the real AWS command line for machines' scripts, fast: a process that has it imported forks.

A machine's `aws` (see `aws_shim.py`) connects, hands over its stdin, stdout and stderr, and says
its folder, environment and arguments; the fork runs awscli with them and reports the exit status.
When the caller goes away its fork ends too. Arguments: the socket's path.
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
from typing import Any


def prepare() -> Any:
    """The command line's driver, with all imported and read that does not hang on a caller."""
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
    for name in [name for name in os.environ if name.startswith("AWS_") and "DATA" not in name]:
        del os.environ[name]
    # The driver reads the environment when it runs, the configuration file (none) now.
    driver = awscli.clidriver.create_clidriver()
    driver._get_command_table()
    models = driver.session.get_component("data_loader")
    models.load_service_model("s3", "service-2")
    gc.collect()
    gc.freeze()
    return driver


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


def run(connection: socket.socket, driver: Any) -> None:
    """In the fork: become the caller's `aws`."""
    fds, request = receive(connection)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    # awscli found its data files when it was imported.
    data = os.environ["AWS_DATA_PATH"]
    os.environ.clear()
    os.environ.update(request["environment"], AWS_DATA_PATH=data)
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
    driver = prepare()
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
                        run(connection, driver)
                        code = 0
                    except BaseException:
                        traceback.print_exc()
                        raise
                    finally:
                        os._exit(code)


if __name__ == "__main__":
    main()
