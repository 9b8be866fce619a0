"""Run Command: what was sent, and the run of each command on its machine."""

from __future__ import annotations

import re
import shlex
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from .access import ApiError, instance_arn
from .fleet import Fleet
from .live import LiveLog
from .machine import Machine, kill_group

INVOCATION_CHANGE = "EC2 Command Invocation Status-change Notification"
STDOUT_SHOWN, STDERR_SHOWN = 24_000, 8_000
ENDED = ("Success", "Cancelled", "TimedOut", "Failed")
PLUGINS = {
    "AWS-RunShellScript": "aws:runShellScript",
    "AWS-RunPowerShellScript": "aws:runPowerShellScript",
}
Parameters = dict[str, list[str]]
Document = Callable[[Machine, Parameters], list[str]]
"""Makes the program and its arguments from a machine and the parameters."""


@dataclass
class Invocation:
    """One command on one machine."""

    request: dict[str, Any]
    machine: Machine
    folder: Path
    command_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    requested: float = field(default_factory=time.time)
    status: str = "Pending"
    details: str = "Pending"
    code: int = -1
    cancelled: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    process: subprocess.Popen[bytes] | None = None

    @property
    def document(self) -> str:
        """The document's name."""
        return str(self.request["DocumentName"])

    @property
    def plugin(self) -> str:
        """The name of the document's one step."""
        return PLUGINS.get(self.document, "aws:runShellScript")

    @property
    def limit_s(self) -> float:
        """How long it may run."""
        return float("".join(self.parameters.get("executionTimeout", [])) or 3600)

    @property
    def expires(self) -> float:
        """When SSM gives it up, whatever became of the machine: at the end of both timeouts."""
        return self.requested + float(self.request.get("TimeoutSeconds", 3600)) + self.limit_s

    @property
    def parameters(self) -> Parameters:
        """The parameters as sent."""
        found: Parameters = self.request.get("Parameters", {})
        return found

    def output_key(self, name: str) -> str:
        """Where in S3 the agent puts `stdout` or `stderr`."""
        plugin = self.plugin.replace(":", "")
        parts = [self.request.get("OutputS3KeyPrefix", ""), self.command_id]
        parts += [self.machine.instance_id, plugin, f"0.{plugin}", name]
        return "/".join(part for part in parts if part)

    def shown(self, name: str, limit: int) -> str:
        """The start of an output, as the API shows it: only when the command has ended."""
        path = self.folder / name
        if self.status not in ENDED or not path.exists():
            return ""
        with path.open("rb") as stream:
            text = stream.read(4 * limit).decode(errors="replace")
        return text if len(text) <= limit else text[:limit]


class Commands:
    """Sends commands to machines and publishes how they end."""

    def __init__(self, fleet: Fleet, base_environment: dict[str, str]) -> None:
        self.fleet = fleet
        self.environment = base_environment
        self.invocations: dict[str, Invocation] = {}
        self.documents: dict[str, Document] = {}
        self.overlaps: list[str] = []
        self.in_progress_events = False
        self.last_words = False
        self._lock = threading.Lock()

    def send(self, request: dict[str, Any], machine: Machine) -> Invocation:
        """Accept a valid request; the command starts at once."""
        folder = machine.folder / "commands" / f"{len(machine.commands):05d}"
        invocation = Invocation(request, machine, folder)
        with self._lock:
            self.invocations[invocation.command_id] = invocation
            machine.commands.append(invocation.command_id)
            if machine.running:
                self.overlaps.append(
                    f"{machine.instance_id}: {invocation.command_id} sent while "
                    f"{sorted(machine.running)} run"
                )
            machine.running.add(invocation.command_id)
        self.fleet.background(self._run, invocation)
        return invocation

    def expire(self) -> None:
        """Give up the commands of dead machines whose time is up. No event tells of it.

        AWS documents that such a command stays as it is until its agent is back or its time is up.
        """
        for invocation in list(self.invocations.values()):
            left_alone = invocation.ended.is_set() and invocation.status not in ENDED
            if left_alone and time.time() >= invocation.expires:
                invocation.status, invocation.details = "TimedOut", "Delivery Timed Out"

    def cancel(self, invocation: Invocation) -> None:
        """Ask the agent to end a command."""
        if invocation.status not in ENDED:
            invocation.status = invocation.details = "Cancelling"
            invocation.cancelled.set()
            if invocation.process is not None:
                kill_group(invocation.process)

    # -- one command ----------------------------------------------------------------------------

    def _run(self, invocation: Invocation) -> None:
        machine = invocation.machine
        try:
            invocation.folder.mkdir(parents=True)
            if invocation.status == "Pending":
                invocation.status = invocation.details = "InProgress"
            if self.in_progress_events:
                self._publish(invocation)
            verdict = self._execute(invocation)
            heard = machine.alive or (self.last_words and not machine.killed)
            if verdict is None or not heard:
                # Nobody is left to tell: the command stays as it was seen last.
                return
            self._upload(invocation)
            with self._lock:
                machine.running.discard(invocation.command_id)
            invocation.status, invocation.details, invocation.code = verdict
            self._publish(invocation)
        finally:
            with self._lock:
                machine.running.discard(invocation.command_id)
            invocation.ended.set()

    def _execute(self, invocation: Invocation) -> tuple[str, str, int] | None:
        machine, folder = invocation.machine, invocation.folder
        cwd = folder
        stdout, stderr = folder / "stdout", folder / "stderr"
        wanted = "".join(invocation.parameters.get("workingDirectory", []))
        if wanted:
            cwd = Path(wanted)
            if not cwd.is_dir():
                stdout.touch()
                stderr.write_text(f"failed to run commands: chdir {cwd}: no such file\n")
                return "Failed", "Failed", 1
        live = LiveLog.wanted(invocation.request)
        process = machine.start(
            self._program(invocation), cwd, self._environment(machine), stdout, stderr
        )
        if process is None:
            return None
        invocation.process = process
        if invocation.cancelled.is_set():
            kill_group(process)
        stream = live.follow(self._client(machine, "logs"), invocation, stdout) if live else None
        try:
            code = process.wait(timeout=invocation.limit_s)
            timed_out = False
        except subprocess.TimeoutExpired:
            kill_group(process)
            code = process.wait()
            timed_out = True
        finally:
            machine.end(process)
            if stream:
                stream.finish(self.fleet.complaints)
        if invocation.cancelled.is_set():
            return "Cancelled", "Cancelled", -1
        if timed_out:
            return "TimedOut", "Execution Timed Out", -1
        if code == 0:
            return "Success", "Success", 0
        with stderr.open("a") as words:  # the agent's last words, after all of the job's
            words.write(f"failed to run commands: exit status {code if code > 0 else -1}\n")
        # The agent reports a program that a signal ended as -1.
        return "Failed", "Failed", code if code > 0 else -1

    def _program(self, invocation: Invocation) -> list[str]:
        custom = self.documents.get(invocation.document)
        if custom is not None:
            return custom(invocation.machine, invocation.parameters)
        if invocation.document != "AWS-RunShellScript":
            return ["sh", "-c", "echo 'powershell: not found' >&2; exit 127"]
        script = invocation.folder / "_script.sh"
        text = "\n".join(invocation.parameters.get("commands", [])) + "\n"
        script.write_text(text)
        first = re.match(r"#!\s*(\S.*)", text)
        # Not run by its name: another thread's child may hold the file open for writing.
        return [*(shlex.split(first[1]) if first else ["sh"]), str(script)]

    def _environment(self, machine: Machine) -> dict[str, str]:
        return {
            **self.environment,
            "HOME": str(machine.root),
            "SHOAL_ROOT": str(machine.root),
            "AWS_SSM_INSTANCE_ID": machine.instance_id,
            "AWS_SSM_REGION_NAME": self.fleet.emulator.region,
            "AWS_DEFAULT_REGION": self.fleet.emulator.region,
            "AWS_ACCESS_KEY_ID": machine.credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": machine.credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": machine.credentials["SessionToken"],
        }

    def _client(self, machine: Machine, service: str) -> Any:
        with self._lock:
            if service not in machine.clients:
                machine.clients[service] = self.fleet.emulator.session_client(
                    service, machine.credentials
                )
            return machine.clients[service]

    def _upload(self, invocation: Invocation) -> None:
        bucket = invocation.request.get("OutputS3BucketName")
        if not bucket:
            return
        for name in ("stdout", "stderr"):
            path = invocation.folder / name
            # The agent uploads no empty file.
            if not path.exists() or path.stat().st_size == 0:
                continue
            client = self._client(invocation.machine, "s3")
            try:
                client.upload_file(str(path), bucket, invocation.output_key(name))
            except Exception as error:  # noqa: BLE001 - as the agent: the command's end is told
                self.fleet.complaints.append(f"{invocation.command_id}: no {name} in S3: {error}")

    def _publish(self, invocation: Invocation) -> None:
        when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(invocation.requested))
        try:
            self.fleet.events.publish(
                "aws.ssm",
                INVOCATION_CHANGE,
                {
                    "command-id": invocation.command_id,
                    "document-name": invocation.document,
                    "instance-id": invocation.machine.instance_id,
                    "requested-date-time": when,
                    "status": invocation.status,
                },
                [instance_arn(invocation.machine.instance_id)],
            )
        except (ClientError, OSError) as error:
            self.fleet.complaints.append(f"{invocation.command_id}: no event: {error!r}")


def check_request(request: dict[str, Any], documents: dict[str, Document]) -> None:
    """Refuse what SendCommand refuses."""
    name = request.get("DocumentName", "")
    if name not in PLUGINS and name not in documents:
        raise ApiError("InvalidDocument", f"document {name} does not exist")
    if len(request.get("Comment", "")) > 100:
        raise ApiError(
            "ValidationException",
            "1 validation error detected: Value at 'comment' failed to satisfy constraint: "
            "Member must have length less than or equal to 100",
        )
    timeout = request.get("TimeoutSeconds", 3600)
    if not 30 <= timeout <= 2_592_000:
        raise ApiError("ValidationException", f"timeoutSeconds {timeout} is not in 30..2592000")
    parameters = request.get("Parameters", {})
    for key, value in parameters.items():
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ApiError("SerializationException", f"parameter {key} is not a list of strings")
    if name in PLUGINS:
        unknown = set(parameters) - {"commands", "executionTimeout", "workingDirectory"}
        if unknown or not parameters.get("commands"):
            what = f"{sorted(unknown)} unknown" if unknown else "commands is missing"
            raise ApiError("InvalidParameters", f"parameters of {name}: {what}")
        limit = "".join(parameters.get("executionTimeout", ["3600"]))
        if not limit.isdigit() or not 1 <= int(limit) <= 172_800:
            raise ApiError("InvalidParameters", f"executionTimeout {limit!r} is not in 1..172800")
