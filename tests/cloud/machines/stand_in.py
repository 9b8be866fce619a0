"""The stand-in as tests see it: start it, hurt it, ask it what happened."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType

from ..emulator import Emulator
from .access import instance_arn
from .autoscaling import AutoScaling
from .commands import Commands, Document, Invocation
from .events import Events
from .fleet import Fleet
from .machine import Machine, kill_group
from .server import Server
from .ssm import SystemsManager

SPOT_WARNING = "EC2 Spot Instance Interruption Warning"


class Machines:
    """All machines of an emulated account.

    Make it, start the emulator with its `url`, then `connect`. What tests may set besides:
    `fleet.boot_s` (until an agent answers) and `ssm.consistency_s` (until a command is seen).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = Server()
        self.url = self.server.url
        self._aws: subprocess.Popen[bytes] | None = None
        self.fleet: Fleet
        self.commands: Commands
        self.events: Events
        self.ssm: SystemsManager

    def connect(self, emulator: Emulator) -> None:
        """Begin to answer and to watch."""
        programs = self.folder / "bin"
        programs.mkdir(parents=True)
        socket = self.folder / "aws.socket"
        here = Path(__file__).parent
        shim = programs / "aws"
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -ISE {here / "aws_shim.py"} "$@"\n')
        shim.chmod(0o755)
        environment = {
            "PATH": f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "AWS_ENDPOINT_URL": emulator.url,
            "AWS_ENDPOINT_URL_SSM": self.url,
            "AWS_ENDPOINT_URL_AUTO_SCALING": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SHOAL_TEST_AWS": str(socket),
        }
        common = json.dumps(environment | {"AWS_DEFAULT_REGION": emulator.region})
        self._aws = subprocess.Popen(
            [sys.executable, str(here / "aws_server.py"), str(socket), common],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.events = Events(emulator)
        self.fleet = Fleet(emulator, self.folder / "instances", self.events)
        self.commands = Commands(self.fleet, environment)
        self.ssm = SystemsManager(self.fleet, self.commands)
        self.server.connect(emulator, self.ssm, AutoScaling(self.fleet))
        self.fleet.start()
        emulator.before_stop.append(self.fleet.stop)
        deadline = time.monotonic() + 30
        while not socket.exists():
            if self._aws.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server of the aws command line did not start")
            time.sleep(0.05)

    def stop(self) -> None:
        """End every process and both servers."""
        if hasattr(self, "fleet"):
            self.fleet.stop()
            self.events.reset()
        self.server.close()
        if self._aws is not None:
            kill_group(self._aws)
            self._aws.wait()

    def __enter__(self) -> Machines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # -- what happened --------------------------------------------------------------------------

    @property
    def calls(self) -> Counter[str]:
        """Calls by action."""
        return self.server.calls

    @property
    def violations(self) -> list[str]:
        """What no test should see: two commands at once on a machine, refused agents or uploads."""
        return [*self.commands.overlaps, *self.fleet.complaints]

    def alive(self, group: str | None = None) -> list[Machine]:
        """The machines that are there or coming; of one group, or all."""
        found = [m for m in list(self.fleet.machines.values()) if m.alive]
        return [m for m in found if group is None or m.group == group]

    def machine(self, instance_id: str) -> Machine:
        """One machine, dead or alive."""
        return self.fleet.machines[instance_id]

    def sent(self) -> list[Invocation]:
        """All commands, in the order in which they were sent."""
        return list(self.commands.invocations.values())

    def capacity(self, group: str) -> int:
        """A group's desired capacity."""
        self.fleet.group(group)
        return self.fleet.desired[group]

    # -- what tests do to machines --------------------------------------------------------------

    def kill(self, instance_id: str, silently: bool = False) -> None:
        """End a machine without warning; EC2 tells of it unless `silently`."""
        self.fleet.kill(self.machine(instance_id), silently)

    def warn(self, instance_id: str) -> None:
        """Tell that a Spot machine will be taken in two minutes."""
        self.events.publish(
            "aws.ec2",
            SPOT_WARNING,
            {"instance-id": instance_id, "instance-action": "terminate"},
            [instance_arn(instance_id)],
        )

    def drop_next_events(self, count: int, kind: str = "aws.ssm") -> None:
        """Lose the next events of a source (`aws.ssm`), state (`aws.ec2 running`) or type."""
        self.events.drop_next(count, kind)

    @property
    def duplicate_events(self) -> bool:
        """Whether each event is published twice."""
        return self.events.duplicate

    @duplicate_events.setter
    def duplicate_events(self, value: bool) -> None:
        self.events.duplicate = value

    @property
    def event_delay_s(self) -> float:
        """How much later events are published."""
        return self.events.delay_s

    @event_delay_s.setter
    def event_delay_s(self, value: float) -> None:
        self.events.delay_s = value

    @property
    def last_words(self) -> bool:
        """Whether a machine that is shut down still tells how its commands were killed.

        An agent may be quick enough for that, or not. One that is killed never is.
        """
        return self.commands.last_words

    @last_words.setter
    def last_words(self, value: bool) -> None:
        self.commands.last_words = value

    def register_document(self, name: str, program: Document) -> None:
        """Let SendCommand take one's own document."""
        self.commands.documents[name] = program

    def reset(self) -> None:
        """No machines, no capacity, no faults, nothing counted."""
        self.events.reset()
        for group in list(self.fleet.desired):
            self.fleet.want(group, 0)
        for machine in list(self.fleet.machines.values()):
            if machine.alive or machine.state in ("stopping", "stopped"):
                self.fleet.kill(machine, silently=True)
        self.fleet.boot_s = 0.3
        self.ssm.consistency_s = 0.0
        self.commands.in_progress_events = False
        self.commands.last_words = False
        self.ssm.page_size = 50
        self.commands.documents.clear()
        self.commands.invocations.clear()
        self.commands.overlaps.clear()
        self.fleet.complaints.clear()
        self.server.calls.clear()
        self.server.errors.clear()
