"""The Systems Manager endpoint (JSON 1.1): Run Command and the list of managed instances."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..emulator import ACCOUNT, REGION
from .access import ApiError, check, instance_arn
from .commands import PLUGINS, STDERR_SHOWN, STDOUT_SHOWN, Commands, Invocation, check_request
from .fleet import Fleet
from .machine import Machine

Request = dict[str, Any]
Answer = dict[str, Any]


class SystemsManager:
    """Each public method named in `actions` answers one action."""

    def __init__(self, fleet: Fleet, commands: Commands) -> None:
        self.fleet = fleet
        self.commands = commands
        self.consistency_s = 0.0
        self.page_size = 50
        self.actions: dict[str, Callable[[Request], Answer]] = {
            "SendCommand": self.send_command,
            "GetCommandInvocation": self.get_command_invocation,
            "ListCommands": self.list_commands,
            "ListCommandInvocations": self.list_command_invocations,
            "CancelCommand": self.cancel_command,
            "DescribeInstanceInformation": self.describe_instance_information,
        }

    def needs(self, action: str, request: Request) -> list[dict[str, Any]]:
        """The permissions that a call needs."""
        if action != "SendCommand":
            return [check(f"ssm:{action}")]
        name = request.get("DocumentName", "")
        owner = "" if name in PLUGINS or name.startswith("AWS-") else ACCOUNT
        document = (
            name if name.startswith("arn:") else f"arn:aws:ssm:{REGION}:{owner}:document/{name}"
        )
        checks = [check("ssm:SendCommand", document)]
        for instance_id in request.get("InstanceIds", []):
            machine = self.fleet.machines.get(instance_id)
            tags = machine.tags if machine else {}
            checks.append(check("ssm:SendCommand", instance_arn(instance_id), tags))
        return checks

    def send_command(self, request: Request) -> Answer:
        """Start a command on one machine."""
        check_request(request, self.commands.documents)
        instance_ids = request.get("InstanceIds", [])
        if len(instance_ids) != 1:
            raise ApiError("ValidationException", "the stand-in takes one instance a command")
        machine = self.fleet.machines.get(instance_ids[0])
        if machine is None or not machine.online or not machine.alive:
            raise ApiError(
                "InvalidInstanceId",
                f"Instances [[{instance_ids[0]}]] not in a valid state for account {ACCOUNT}",
            )
        invocation = self.commands.send(request, machine)
        return {"Command": self._command(invocation)}

    def get_command_invocation(self, request: Request) -> Answer:
        """One command on one machine, with the start of its output."""
        self.commands.expire()
        invocation = self.commands.invocations.get(request.get("CommandId", ""))
        if (
            invocation is None
            or invocation.machine.instance_id != request.get("InstanceId")
            or time.time() - invocation.requested < self.consistency_s
        ):
            raise ApiError("InvocationDoesNotExist", "")
        return {
            "CommandId": invocation.command_id,
            "InstanceId": invocation.machine.instance_id,
            "Comment": invocation.request.get("Comment", ""),
            "DocumentName": invocation.document,
            "DocumentVersion": "",
            "PluginName": invocation.plugin,
            "ResponseCode": invocation.code,
            "Status": invocation.status,
            "StatusDetails": invocation.details,
            "StandardOutputContent": invocation.shown("stdout", STDOUT_SHOWN),
            "StandardErrorContent": invocation.shown("stderr", STDERR_SHOWN),
            "StandardOutputUrl": self._url(invocation, "stdout"),
            "StandardErrorUrl": self._url(invocation, "stderr"),
        }

    def list_commands(self, request: Request) -> Answer:
        """Commands, latest first."""
        found = [self._command(i) for i in self._matching(request)]
        return self._page("Commands", found, request)

    def list_command_invocations(self, request: Request) -> Answer:
        """Commands on machines, latest first; `Details` adds the output."""
        found = []
        for invocation in self._matching(request):
            row = {
                "CommandId": invocation.command_id,
                "InstanceId": invocation.machine.instance_id,
                "Comment": invocation.request.get("Comment", ""),
                "DocumentName": invocation.document,
                "RequestedDateTime": invocation.requested,
                "Status": invocation.status,
                "StatusDetails": invocation.details,
                "StandardOutputUrl": self._url(invocation, "stdout"),
                "StandardErrorUrl": self._url(invocation, "stderr"),
                "CommandPlugins": [],
            }
            if request.get("Details"):
                row["CommandPlugins"] = [
                    {
                        "Name": invocation.plugin,
                        "Status": invocation.status,
                        "StatusDetails": invocation.details,
                        "ResponseCode": invocation.code,
                        "Output": invocation.shown("stdout", 2500),
                        "OutputS3BucketName": invocation.request.get("OutputS3BucketName", ""),
                        "OutputS3KeyPrefix": invocation.request.get("OutputS3KeyPrefix", ""),
                    }
                ]
            found.append(row)
        return self._page("CommandInvocations", found, request)

    def cancel_command(self, request: Request) -> Answer:
        """Ask the machine to end a command; none is told that it could not."""
        invocation = self.commands.invocations.get(request.get("CommandId", ""))
        if invocation is None:
            raise ApiError("InvalidCommandId", "")
        self.commands.cancel(invocation)
        return {}

    def describe_instance_information(self, request: Request) -> Answer:
        """The machines whose agents answer, or have answered."""
        wanted = self._wanted_instances(request)
        found = [
            self._information(machine)
            for machine in list(self.fleet.machines.values())
            if machine.credentials and (machine.online or machine.alive is False)
            if wanted is None or machine.instance_id in wanted
        ]
        return self._page("InstanceInformationList", found, request)

    @staticmethod
    def _wanted_instances(request: Request) -> set[str] | None:
        filters = [(f.get("Key"), f.get("Values", [])) for f in request.get("Filters", [])] + [
            (f.get("key"), f.get("valueSet", []))
            for f in request.get("InstanceInformationFilterList", [])
        ]
        wanted: set[str] | None = None
        for key, values in filters:
            if key != "InstanceIds":
                raise ApiError("InvalidFilterKey", f"the stand-in knows no filter {key}")
            wanted = set(values) if wanted is None else wanted & set(values)
        return wanted

    @staticmethod
    def _information(machine: Machine) -> Answer:
        return {
            "InstanceId": machine.instance_id,
            "PingStatus": "Online" if machine.online and machine.alive else "ConnectionLost",
            "LastPingDateTime": time.time(),
            "AgentVersion": "3.3.0.0",
            "IsLatestVersion": True,
            "PlatformType": "Linux",
            "ResourceType": "EC2Instance",
            "ComputerName": machine.instance_id,
        }

    def _matching(self, request: Request) -> list[Invocation]:
        self.commands.expire()
        found = []
        for invocation in reversed(list(self.commands.invocations.values())):
            if time.time() - invocation.requested < self.consistency_s:
                continue
            if request.get("CommandId") not in (None, invocation.command_id):
                continue
            if request.get("InstanceId") not in (None, invocation.machine.instance_id):
                continue
            if all(self._passes(invocation, f) for f in request.get("Filters", [])):
                found.append(invocation)
        return found

    @staticmethod
    def _passes(invocation: Invocation, wanted: dict[str, str]) -> bool:
        # The API writes these two names in lower case.
        key, value = wanted["key"], wanted["value"]
        if key == "Status":
            return invocation.status == value
        if key == "DocumentName":
            return invocation.document == value
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(invocation.requested))
        if key == "InvokedAfter":
            return when >= value
        if key == "InvokedBefore":
            return when < value
        raise ApiError("InvalidFilterKey", f"the stand-in knows no filter {key}")

    def _page(self, name: str, rows: list[Answer], request: Request) -> Answer:
        start = int(request.get("NextToken") or 0)
        size = min(int(request.get("MaxResults") or self.page_size), self.page_size)
        answer: Answer = {name: rows[start : start + size]}
        if start + size < len(rows):
            answer["NextToken"] = str(start + size)
        return answer

    @staticmethod
    def _url(invocation: Invocation, name: str) -> str:
        bucket = invocation.request.get("OutputS3BucketName")
        if not bucket:
            return ""
        return f"https://s3.{REGION}.amazonaws.com/{bucket}/{invocation.output_key(name)}"

    @staticmethod
    def _command(invocation: Invocation) -> Answer:
        request = invocation.request
        return {
            "CommandId": invocation.command_id,
            "DocumentName": invocation.document,
            "Comment": request.get("Comment", ""),
            "Parameters": invocation.parameters,
            "InstanceIds": [invocation.machine.instance_id],
            "RequestedDateTime": invocation.requested,
            "ExpiresAfter": invocation.expires,
            "Status": invocation.status,
            "StatusDetails": invocation.details,
            "OutputS3BucketName": request.get("OutputS3BucketName", ""),
            "OutputS3KeyPrefix": request.get("OutputS3KeyPrefix", ""),
            "TargetCount": 1,
            "TimeoutSeconds": request.get("TimeoutSeconds", 3600),
        }
