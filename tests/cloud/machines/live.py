"""A command's output, sent to CloudWatch Logs while it runs."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from .commands import Invocation

EVERY_S = 0.3


class LiveLog:
    """Follows a file and puts its new lines into a log stream."""

    def __init__(self, group: str) -> None:
        self.group = group
        self._over = threading.Event()
        self._error: str | None = None
        self._at = 0

    @staticmethod
    def wanted(request: dict[str, Any]) -> LiveLog | None:
        """The log that a request asks for, if it does."""
        config = request.get("CloudWatchOutputConfig", {})
        if not config.get("CloudWatchOutputEnabled"):
            return None
        group = config.get("CloudWatchLogGroupName") or f"/aws/ssm/{request['DocumentName']}"
        return LiveLog(group)

    def follow(self, client: Any, invocation: Invocation, path: Path) -> LiveLog:
        """Begin; the stream is made at the first line."""
        plugin = invocation.plugin.replace("aws:", "aws-")
        stream = f"{invocation.command_id}/{invocation.machine.instance_id}/{plugin}/stdout"
        self._thread = threading.Thread(
            target=self._send_all, args=[client, stream, path], daemon=True
        )
        self._thread.start()
        return self

    def finish(self, complaints: list[str]) -> None:
        """Send the rest; what was refused becomes a complaint."""
        self._over.set()
        self._thread.join(30)
        if self._error:
            complaints.append(f"no live log in {self.group}: {self._error}")

    def _send_all(self, client: Any, stream: str, path: Path) -> None:
        made = False
        while True:
            last = self._over.wait(EVERY_S)
            lines = self._new_lines(path, last)
            try:
                if lines and not made:
                    client.create_log_stream(logGroupName=self.group, logStreamName=stream)
                    made = True
                for start in range(0, len(lines), 1000):
                    now = int(time.time() * 1000)
                    client.put_log_events(
                        logGroupName=self.group,
                        logStreamName=stream,
                        logEvents=[
                            {"timestamp": now, "message": line}
                            for line in lines[start : start + 1000]
                        ],
                    )
            except ClientError as error:
                self._error = str(error)
                return
            if last:
                return

    def _new_lines(self, path: Path, last: bool) -> list[str]:
        with path.open("rb") as stream:
            stream.seek(self._at)
            data = stream.read(4_000_000)
        if not last:
            data = data[: data.rfind(b"\n") + 1]
        self._at += len(data)
        lines = data.decode(errors="replace").splitlines()
        # An event holds at least one character and at most 256 KB.
        return [line[:200_000] for line in lines if line]
