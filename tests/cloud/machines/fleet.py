"""Instances and Auto Scaling groups: launched, watched, replaced and terminated."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..emulator import Emulator
from .access import ApiError, allow, check, instance_arn
from .events import Events
from .machine import Machine

TROUBLE = (OSError, BotoCoreError, ClientError, ApiError)
STATE_CHANGE = "EC2 Instance State-change Notification"


class Fleet:
    """All machines. EC2's records live in the emulator; what runs on them lives here."""

    def __init__(self, emulator: Emulator, folder: Path, events: Events) -> None:
        self.emulator = emulator
        self.folder = folder
        self.events = events
        self.machines: dict[str, Machine] = {}
        self.desired: dict[str, int] = {}
        self.boot_s = 0.3
        self.shutdown_s = 0.05
        self.complaints: list[str] = []
        self._groups: dict[str, dict[str, Any]] = {}
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._threads = [
            threading.Thread(target=self._guard, args=[step], name=step.__name__, daemon=True)
            for step in (self._watch, self._scale)
        ]

    def start(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop watching; every process on every machine ends."""
        self._stopped.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(10)
        for machine in self.machines.values():
            machine.cut_power()

    def _guard(self, step: Any) -> None:
        known = ""
        while not self._stopped.is_set():
            try:
                known = step(known)
            except TROUBLE as error:
                if not self._stopped.is_set():
                    self.complaints.append(f"{step.__name__}: {error!r}")
                    time.sleep(0.2)

    def background(self, work: Callable[..., None], *arguments: Any) -> None:
        """Do it in a thread; what goes wrong becomes a complaint, unless all is being stopped."""

        def run() -> None:
            try:
                work(*arguments)
            except TROUBLE as error:
                if not self._stopped.is_set():
                    self.complaints.append(f"{work.__name__}: {error!r}")

        threading.Thread(target=run, name=work.__name__, daemon=True).start()

    # -- groups ---------------------------------------------------------------------------------

    def group(self, name: str) -> dict[str, Any]:
        """A group's definition as CloudFormation left it."""
        with self._lock:
            known = self._groups.get(name)
        if known is None:
            self._learn(self.emulator.hook("look"))
        with self._lock:
            if name not in self._groups:
                raise ApiError(
                    "ValidationError",
                    f"AutoScalingGroup name not found - AutoScalingGroup '{name}'",
                )
            return self._groups[name]

    def groups(self) -> list[dict[str, Any]]:
        """All groups, as of now."""
        self._learn(self.emulator.hook("look"))
        with self._lock:
            return list(self._groups.values())

    def members(self, group: str) -> list[Machine]:
        """The machines of a group that are there, coming or just going; oldest first."""
        with self._lock:
            found = [m for m in self.machines.values() if m.group == group]
        return sorted((m for m in found if m.lifecycle != "Terminated"), key=lambda m: m.launched)

    def want(self, group: str, capacity: int) -> None:
        """Change a group's desired capacity."""
        with self._lock:
            self.desired[group] = capacity
        self._wake.set()

    def _learn(self, found: dict[str, Any]) -> None:
        with self._lock:
            self._groups = {g["AutoScalingGroupName"]: g for g in found["groups"]}
            for name, group in self._groups.items():
                wanted = self.desired.setdefault(name, group["DesiredCapacity"])
                self.desired[name] = min(max(wanted, group["MinSize"]), group["MaxSize"])
            gone = [name for name in self.desired if name not in self._groups]
            for name in gone:
                del self.desired[name]
        for machine in list(self.machines.values()):
            if machine.group in gone and machine.alive:
                self.terminate(machine)

    def _scale(self, _known: str) -> str:
        self._wake.wait(0.1)
        self._wake.clear()
        if self._stopped.is_set():
            return ""
        with self._lock:
            wanted = dict(self.desired)
        for name, capacity in wanted.items():
            alive = [m for m in self.members(name) if m.alive]
            for _ in range(capacity - len(alive)):
                self._launch(name)
            excess = len(alive) - capacity
            for machine in [m for m in alive if not m.protected][: max(0, excess)]:
                self.terminate(machine)
        return ""

    def _launch(self, name: str) -> None:
        group = self.group(name)
        template = self._template(group)
        tags = {
            tag["Key"]: tag["Value"]
            for spec in template.get("TagSpecifications", [])
            if spec["ResourceType"] == "instance"
            for tag in spec["Tags"]
        }
        tags |= {t["Key"]: t["Value"] for t in group.get("Tags", []) if t.get("PropagateAtLaunch")}
        tags["aws:autoscaling:groupName"] = name
        request: dict[str, Any] = {
            "ImageId": template.get("ImageId", "ami-00000000"),
            "InstanceType": template.get("InstanceType", "t3.micro"),
            "MinCount": 1,
            "MaxCount": 1,
            "TagSpecifications": [
                {
                    "ResourceType": "instance",
                    "Tags": [{"Key": k, "Value": v} for k, v in tags.items()],
                }
            ],
        }
        if "IamInstanceProfile" in template:
            request["IamInstanceProfile"] = template["IamInstanceProfile"]
        with self._lock:
            launched = self.emulator.client("ec2").run_instances(**request)["Instances"][0]
            machine = self._adopt(launched, tags)
            machine.group = name
            machine.protected = bool(group.get("NewInstancesProtectedFromScaleIn"))
        self._boot(machine)

    def _template(self, group: dict[str, Any]) -> dict[str, Any]:
        spec = group.get("LaunchTemplate") or {}
        if not spec:
            return {}
        key = "LaunchTemplateId" if spec["LaunchTemplateId"].startswith("lt-") else None
        which = {key: spec[key]} if key else {"LaunchTemplateName": spec["LaunchTemplateName"]}
        versions = self.emulator.client("ec2").describe_launch_template_versions(
            **which, Versions=[str(spec.get("Version") or "$Default")]
        )["LaunchTemplateVersions"]
        data: dict[str, Any] = versions[0]["LaunchTemplateData"]
        return data

    # -- instances ------------------------------------------------------------------------------

    def _adopt(self, instance: dict[str, Any], tags: dict[str, str]) -> Machine:
        instance_id = instance["InstanceId"]
        profile = instance.get("IamInstanceProfile", {}).get("Arn", "")
        role_arn = None
        if profile:
            found = self.emulator.client("iam").get_instance_profile(
                InstanceProfileName=profile.rsplit("/", 1)[-1]
            )["InstanceProfile"]
            role_arn = found["Roles"][0]["Arn"] if found["Roles"] else None
        machine = Machine(instance_id, self.folder / instance_id, tags, role_arn)
        machine.root.mkdir(parents=True)
        self.machines[instance_id] = machine
        return machine

    def _boot(self, machine: Machine) -> None:
        self._announce(machine, "pending")
        machine.state, machine.lifecycle = "running", "InService"
        self._announce(machine, "running")
        self.background(self._agent_up, machine)

    def _agent_up(self, machine: Machine) -> None:
        time.sleep(self.boot_s)
        if self._stopped.is_set() or not machine.alive:
            return
        if machine.role_arn is None:
            self.complaints.append(f"{machine.instance_id} has no role: its agent can't register")
            return
        try:
            self.refresh(machine)
            allow(
                self.emulator,
                machine.credentials["AccessKeyId"],
                [check("ssm:UpdateInstanceInformation", instance_arn(machine.instance_id))],
            )
        except (ApiError, ClientError) as error:
            self.complaints.append(f"{machine.instance_id}'s agent can't register: {error}")
            return
        with machine.lock:
            machine.online = machine.alive

    def refresh(self, machine: Machine) -> None:
        """Give a machine the credentials of its role."""
        assumed = self.emulator.client("sts").assume_role(
            RoleArn=machine.role_arn, RoleSessionName=machine.instance_id
        )
        machine.credentials = {k: str(v) for k, v in assumed["Credentials"].items()}

    def _announce(self, machine: Machine, state: str) -> None:
        self.events.publish(
            "aws.ec2",
            STATE_CHANGE,
            {"instance-id": machine.instance_id, "state": state},
            [instance_arn(machine.instance_id)],
        )

    def terminate(self, machine: Machine) -> None:
        """Shut a machine down as EC2 does; returns at once."""
        with self._lock:
            if machine.state in ("shutting-down", "terminated"):
                return
            machine.state, machine.lifecycle = "shutting-down", "Terminating"
        self.background(self._shut_down, machine)

    def _shut_down(self, machine: Machine) -> None:
        self._announce(machine, "shutting-down")
        machine.cut_power()
        time.sleep(self.shutdown_s)
        self._gone(machine)
        self._announce(machine, "terminated")
        self._wake.set()

    def _switch_off(self, machine: Machine) -> None:
        machine.state = "stopping"
        self._announce(machine, "stopping")
        machine.cut_power()
        machine.state = "stopped"
        self._announce(machine, "stopped")
        if machine.group is not None:
            # To its group it is not healthy.
            self.terminate(machine)

    def kill(self, machine: Machine, silently: bool) -> None:
        """End a machine without warning."""
        with self._lock:
            machine.state, machine.lifecycle, machine.killed = "terminated", "Terminated", True
        machine.cut_power()
        self._gone(machine)
        if not silently:
            self._announce(machine, "shutting-down")
            self._announce(machine, "terminated")
        self._wake.set()

    def _gone(self, machine: Machine) -> None:
        machine.state, machine.lifecycle = "terminated", "Terminated"
        try:
            self.emulator.client("ec2").terminate_instances(InstanceIds=[machine.instance_id])
        except ClientError as error:
            # Someone else terminated it, and the record is swept away.
            if error.response["Error"]["Code"] != "InvalidInstanceID.NotFound":
                raise

    # -- what others do to instances ------------------------------------------------------------

    def _watch(self, known: str) -> str:
        found = self.emulator.hook("look", {"known": known, "wait": 2})
        if self._stopped.is_set():
            return known
        self._learn(found)
        for instance_id, state in found["instances"]:
            with self._lock:
                machine = self.machines.get(instance_id)
                new = machine is None and state in ("pending", "running")
                if new:
                    described = self.emulator.client("ec2").describe_instances(
                        InstanceIds=[instance_id]
                    )["Reservations"][0]["Instances"][0]
                    tags = {t["Key"]: t["Value"] for t in described.get("Tags", [])}
                    machine = self._adopt(described, tags)
            if machine is not None and new:
                self._boot(machine)
            elif machine is not None and state == "terminated":
                self.terminate(machine)
            elif machine is not None and state in ("stopping", "stopped") and machine.alive:
                self._switch_off(machine)
        return str(found["version"])
