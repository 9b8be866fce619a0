"""An AWS on this machine for the cloud tests: ministack in a process of its own, IAM enforced.

Administrator: the access key `test` is the account's root, which no policy limits. A function runs
under temporary credentials of its own role, so a call that the role does not allow is refused.
Functions are Python processes (this interpreter's) that inherit the emulator's environment: so do
the endpoints of Systems Manager and Auto Scaling, which lead to the stand-in in `machines`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
from botocore.config import Config

from .faults import Faults, Plan

ACCOUNT = "000000000000"
REGION = "us-east-1"
START_S = 30.0


class EmulatorFailed(Exception):
    """The emulator did not start, or went away."""


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Emulator:
    """One emulated account in one Region.

    `machines_url` is where Systems Manager and Auto Scaling answer. As a context manager it stops
    the emulator and every function's process at the end.
    """

    def __init__(self, folder: Path, machines_url: str) -> None:
        self.folder = folder
        self.machines_url = machines_url
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.account = ACCOUNT
        self.region = REGION
        self._log = folder / "emulator.log"
        self.before_stop: list[Callable[[], None]] = []
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        tmp = self.folder / "tmp"
        tmp.mkdir(parents=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TMPDIR": str(tmp),
            "LANG": "C.UTF-8",
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "LOG_LEVEL": "INFO",
            "STATE_DIR": str(self.folder / "state"),
            "S3_DATA_DIR": str(self.folder / "s3"),
            # No Docker: not even a look for it.
            "DOCKER_HOST": f"unix://{self.folder}/no-docker",
            "IOT_MTLS_ENABLED": "0",
            "LAMBDA_WARM_TTL_SECONDS": "3600",
            "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "1",
            **self._machines_env(),
        }
        main = Path(__file__).with_name("emulator_main.py")
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(main)],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=2):
                    return process
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    self._kill(process)
                    raise EmulatorFailed(f"did not start: {error}\n{self.logs()[-4000:]}") from None
            time.sleep(0.05)

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        # Its functions' processes are in its session; none of them makes a session of its own.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def stop(self) -> None:
        """End what stands on it, then the emulator and every function's process."""
        for step in self.before_stop:
            step()
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self._kill(self._process)

    def __enter__(self) -> Emulator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def client(self, service: str) -> Any:
        """A boto3 client with an administrator's credentials; one for each service, shared."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self.session_client(service)
            return self._clients[service]

    def session_client(
        self, service: str, credentials: dict[str, str] | None = None, url: str | None = None
    ) -> Any:
        """A client of one's own, with others' credentials (as STS returns them) or another URL."""
        credentials = credentials or {}
        at_machines = service in ("ssm", "autoscaling")
        return boto3.session.Session().client(
            service,
            region_name=REGION,
            endpoint_url=url or (self.machines_url if at_machines else self.url),
            aws_access_key_id=credentials.get("AccessKeyId", "test"),
            aws_secret_access_key=credentials.get("SecretAccessKey", "test"),
            aws_session_token=credentials.get("SessionToken"),
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"mode": "standard", "total_max_attempts": 2},
                max_pool_connections=32,
            ),
        )

    def session_env(self) -> dict[str, str]:
        """The environment in which a user's programs reach this account as administrator."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            **self._machines_env(),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _machines_env(self) -> dict[str, str]:
        names = ("AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_AUTO_SCALING")
        return dict.fromkeys(names, self.machines_url)

    @contextmanager
    def faults(self, plan: Plan | None = None) -> Iterator[Faults]:
        """Let all that functions ask of AWS meet faults; by default one in ten of their requests.

        Functions' processes start anew at both ends. For others than functions there is
        `Faults.environment`.
        """
        upstreams = {"AWS_ENDPOINT_URL": self.url, **self._machines_env()}
        with Faults(upstreams, plan or Plan(), self.folder / "faults.log") as faults:
            self.hook("environment", dict(faults.environment), timeout_s=120)
            try:
                yield faults
            finally:
                plain = {"AWS_ENDPOINT_URL": None, **self._machines_env()}
                self.hook("environment", plain, timeout_s=120)

    def logs(self) -> str:
        """What the emulator has printed so far, functions' own lines among it."""
        return self._log.read_text(errors="replace")

    def hook(self, name: str, body: dict[str, Any] | None = None, timeout_s: float = 30.0) -> Any:
        """Call one of the hooks of `emulator_main`."""
        request = urllib.request.Request(
            f"{self.url}/_harness/{name}", data=json.dumps(body or {}).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return json.load(answer)
