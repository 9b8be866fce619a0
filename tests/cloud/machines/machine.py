"""One machine: an EC2 instance with an SSM agent, and the processes that run on it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SESSION_S = 3600


@dataclass
class Machine:
    """What the stand-in knows of an instance.

    `state` is EC2's; a machine that was `killed` had no time to shut down. The agent answers while
    `online`; it never comes up on a machine whose role does not let it.
    """

    instance_id: str
    folder: Path
    tags: dict[str, str]
    role_arn: str | None
    group: str | None = None
    protected: bool = False
    state: str = "pending"
    lifecycle: str = "Pending"
    online: bool = False
    killed: bool = False
    launched: float = field(default_factory=time.monotonic)
    running: set[str] = field(default_factory=set)
    commands: list[str] = field(default_factory=list)
    processes: set[subprocess.Popen[bytes]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    credentials: dict[str, str] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether it is there, or coming."""
        return self.state in ("pending", "running")

    @property
    def root(self) -> Path:
        """Stands for the machine's disk: what SHOAL_ROOT names in its processes."""
        return self.folder / "root"

    def start(
        self, argv: list[str], cwd: Path, environment: dict[str, str], stdout: Path, stderr: Path
    ) -> subprocess.Popen[bytes] | None:
        """Start a program in a session of its own; None when the machine is gone."""
        with self.lock, stdout.open("wb") as out, stderr.open("wb") as err:
            if not self.alive:
                return None
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            self.processes.add(process)
            return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what a program left running."""
        kill_group(process)
        with self.lock:
            self.processes.discard(process)

    def cut_power(self) -> None:
        """End everything on it at once."""
        with self.lock:
            self.online = False
            processes = list(self.processes)
        for process in processes:
            kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a program and all in its process group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
