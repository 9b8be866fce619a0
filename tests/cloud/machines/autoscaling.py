"""The Auto Scaling endpoint (query protocol): groups that hold real capacity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from .access import ApiError, check
from .fleet import Fleet
from .machine import Machine

Request = dict[str, str]


class AutoScaling:
    """Each method named in `actions` answers one action with the XML inside its result."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.actions: dict[str, Callable[[Request], str]] = {
            "DescribeAutoScalingGroups": self.describe_groups,
            "DescribeAutoScalingInstances": self.describe_instances,
            "SetDesiredCapacity": self.set_desired_capacity,
            "SetInstanceProtection": self.set_instance_protection,
            "TerminateInstanceInAutoScalingGroup": self.terminate_instance,
            "UpdateAutoScalingGroup": self.update_group,
        }

    def needs(self, action: str, request: Request) -> list[dict[str, Any]]:
        """The permissions that a call needs."""
        if action.startswith("Describe"):
            return [check(f"autoscaling:{action}")]
        name = request.get("AutoScalingGroupName", "")
        if action == "TerminateInstanceInAutoScalingGroup":
            machine = self.fleet.machines.get(request.get("InstanceId", ""))
            name = (machine.group if machine else None) or ""
        groups = {g["AutoScalingGroupName"]: g for g in self.fleet.groups()}
        group = groups.get(name)
        if group is None:
            return [check(f"autoscaling:{action}")]
        tags = {t["Key"]: t["Value"] for t in group.get("Tags", [])}
        return [check(f"autoscaling:{action}", group["AutoScalingGroupARN"], tags)]

    def describe_groups(self, request: Request) -> str:
        """Groups with their instances; names that are unknown are left out."""
        names = members(request, "AutoScalingGroupNames")
        found = [g for g in self.fleet.groups() if not names or g["AutoScalingGroupName"] in names]
        return xml("AutoScalingGroups", [self._group(group) for group in found])

    def describe_instances(self, request: Request) -> str:
        """Instances that are in a group."""
        wanted = members(request, "InstanceIds")
        found = [
            self._instance(machine, with_group=True)
            for machine in list(self.fleet.machines.values())
            if machine.group and machine.lifecycle != "Terminated"
            if not wanted or machine.instance_id in wanted
        ]
        return xml("AutoScalingInstances", found)

    def set_desired_capacity(self, request: Request) -> str:
        """Change how many machines a group should have."""
        name, capacity = request.get("AutoScalingGroupName", ""), int(request["DesiredCapacity"])
        group = self.fleet.group(name)
        if not group["MinSize"] <= capacity <= group["MaxSize"]:
            bound = "above max" if capacity > group["MaxSize"] else "below min"
            limit = group["MaxSize"] if capacity > group["MaxSize"] else group["MinSize"]
            raise ApiError(
                "ValidationError",
                f"New SetDesiredCapacity value {capacity} is {bound} value {limit} for the "
                "AutoScalingGroup.",
            )
        self.fleet.want(name, capacity)
        return ""

    def set_instance_protection(self, request: Request) -> str:
        """Protect machines from scale-in, or stop protecting them."""
        name = request.get("AutoScalingGroupName", "")
        self.fleet.group(name)
        for instance_id in members(request, "InstanceIds"):
            machine = self._member(instance_id, name)
            if machine.lifecycle != "InService":
                raise ApiError(
                    "ValidationError",
                    f"The instance {instance_id} is not in InService or EnteringStandby or "
                    "Standby.",
                )
            machine.protected = request.get("ProtectedFromScaleIn") == "true"
        return ""

    def terminate_instance(self, request: Request) -> str:
        """End a machine; the group replaces it unless its capacity is lowered too."""
        machine = self._member(request.get("InstanceId", ""), None)
        group = self.fleet.group(machine.group or "")
        lower = request.get("ShouldDecrementDesiredCapacity") == "true"
        name = str(machine.group)
        if lower and machine.alive:
            desired = self.fleet.desired[name]
            if desired <= group["MinSize"]:
                raise ApiError(
                    "ValidationError",
                    f"Currently, desiredSize equals minSize ({group['MinSize']}). Terminating "
                    "instance without replacement will violate group's min size constraint.",
                )
            self.fleet.want(name, desired - 1)
        self.fleet.terminate(machine)
        return (
            f"<Activity><ActivityId>{machine.instance_id}</ActivityId>"
            f"<AutoScalingGroupName>{escape(name)}</AutoScalingGroupName>"
            "<Cause>a call of TerminateInstanceInAutoScalingGroup</Cause>"
            "<StartTime>2020-01-01T00:00:00Z</StartTime><StatusCode>InProgress</StatusCode>"
            "<Progress>0</Progress></Activity>"
        )

    def update_group(self, request: Request) -> str:
        """Change a group's limits or capacity."""
        name = request.get("AutoScalingGroupName", "")
        self.fleet.group(name)
        limits = {k: int(request[k]) for k in ("MinSize", "MaxSize") if k in request}
        if limits:
            self.fleet.emulator.session_client(
                "autoscaling", url=self.fleet.emulator.url
            ).update_auto_scaling_group(AutoScalingGroupName=name, **limits)
        capacity = int(request.get("DesiredCapacity", self.fleet.desired[name]))
        group = next(g for g in self.fleet.groups() if g["AutoScalingGroupName"] == name)
        self.fleet.want(name, min(max(capacity, group["MinSize"]), group["MaxSize"]))
        return ""

    def _member(self, instance_id: str, group: str | None) -> Machine:
        machine = self.fleet.machines.get(instance_id)
        if machine is None or machine.group is None or machine.lifecycle == "Terminated":
            raise ApiError("ValidationError", f"Instance Id not found - {instance_id}")
        if group is not None and machine.group != group:
            raise ApiError("ValidationError", f"The instance {instance_id} is not part of {group}")
        return machine

    def _group(self, group: dict[str, Any]) -> str:
        name = group["AutoScalingGroupName"]
        tags = [
            f"<Key>{escape(t['Key'])}</Key><Value>{escape(t['Value'])}</Value>"
            f"<ResourceId>{escape(name)}</ResourceId><ResourceType>auto-scaling-group"
            f"</ResourceType><PropagateAtLaunch>{flag(t.get('PropagateAtLaunch'))}"
            "</PropagateAtLaunch>"
            for t in group.get("Tags", [])
        ]
        machines = [self._instance(m, with_group=False) for m in self.fleet.members(name)]
        fields = {
            "AutoScalingGroupName": name,
            "AutoScalingGroupARN": group["AutoScalingGroupARN"],
            "MinSize": group["MinSize"],
            "MaxSize": group["MaxSize"],
            "DesiredCapacity": self.fleet.desired.get(name, group["DesiredCapacity"]),
            "DefaultCooldown": group["DefaultCooldown"],
            "HealthCheckType": group["HealthCheckType"],
            "HealthCheckGracePeriod": group["HealthCheckGracePeriod"],
            "CreatedTime": group["CreatedTime"],
            "NewInstancesProtectedFromScaleIn": flag(group["NewInstancesProtectedFromScaleIn"]),
        }
        inner = "".join(f"<{k}>{escape(str(v))}</{k}>" for k, v in fields.items())
        zones = [escape(zone) for zone in group["AvailabilityZones"]]
        lists = {"AvailabilityZones": zones, "Tags": tags, "Instances": machines}
        return inner + "".join(xml(k, v) for k, v in lists.items())

    @staticmethod
    def _instance(machine: Machine, with_group: bool) -> str:
        group = f"<AutoScalingGroupName>{escape(str(machine.group))}</AutoScalingGroupName>"
        return (
            f"<InstanceId>{machine.instance_id}</InstanceId>{group if with_group else ''}"
            "<AvailabilityZone>us-east-1a</AvailabilityZone>"
            f"<LifecycleState>{machine.lifecycle}</LifecycleState>"
            f"<HealthStatus>{'Healthy' if machine.alive else 'Unhealthy'}</HealthStatus>"
            f"<ProtectedFromScaleIn>{flag(machine.protected)}</ProtectedFromScaleIn>"
        )


def members(request: Request, name: str) -> list[str]:
    """A list of the query protocol."""
    found: list[str] = []
    while (key := f"{name}.member.{len(found) + 1}") in request:
        found.append(request[key])
    return found


def xml(name: str, items: list[str]) -> str:
    """A list of the answer."""
    return f"<{name}>" + "".join(f"<member>{item}</member>" for item in items) + f"</{name}>"


def flag(value: object) -> str:
    """A truth value as AWS writes it."""
    return "true" if value else "false"
