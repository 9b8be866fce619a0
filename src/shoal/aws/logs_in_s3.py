"""The output of an attempt that ended: what SSM returns by itself, and the whole of it in S3."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from shoal.core.confirm import Ended

PIECE_BYTES = 1 << 20
TAIL_BYTES = 4_000
"""Of the output, that the table shows."""

SLACK_BYTES = 100
"""SSM cuts between characters, and says so in the text: what is nearly too long may be cut."""

LAST_WORDS = 200
PATIENCE_S, LOOK_EVERY_S = 10.0, 0.5
"""For SSM to have put the output into S3."""


AGENTS_WORDS = re.compile(r"failed to run commands: |-*Error Output-*$|-+output truncated-+$")
"""What SSM's agent adds: https://github.com/aws/amazon-ssm-agent (runscript, iohandler)."""


class OutputMissing(Exception):
    """SSM has not put the output of an attempt into S3 yet."""


class Output:
    """Both streams of a command.

    Args:
        s3: a client.
        bucket: where SSM puts the output.
        prefix: under which all objects of the command are.
        stdout, stderr: their beginnings, as SSM returns them.
        limits: bytes after which those are cut.
    """

    def __init__(
        self,
        s3: Any,
        bucket: str,
        prefix: str,
        stdout: str,
        stderr: str,
        limits: tuple[int, int],
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix
        self._first = {"stdout": stdout, "stderr": stderr}
        self._is_cut = {
            "stdout": len(stdout.encode()) >= limits[0] - SLACK_BYTES,
            "stderr": len(stderr.encode()) >= limits[1] - SLACK_BYTES,
        }
        self._keys: dict[str, str] | None = None

    def tail(self) -> str:
        """The end of stdout, then that of stderr."""
        return "".join(self._end_of(stream, TAIL_BYTES) for stream in ("stdout", "stderr"))

    def last_words(self) -> str:
        """The last line of stderr, or else of stdout."""
        for stream in ("stderr", "stdout"):
            lines = self._lines(stream)
            if lines:
                return lines[-1][-LAST_WORDS:]
        return ""

    def last_error_line(self) -> str:
        """The last line of stderr."""
        lines = self._lines("stderr")
        return lines[-1] if lines else ""

    def _lines(self, stream: str) -> list[str]:
        """The last lines of a stream that say something, but for what SSM's agent adds."""
        found = [line.strip() for line in self._end_of(stream, TAIL_BYTES).split("\n")]
        return [line for line in found if line and not AGENTS_WORDS.match(line)]

    def with_string(self, ended: Ended, wanted: str, *, patient: bool) -> Ended:
        """Add to the facts whether a string is anywhere in the output.

        Raises:
            OutputMissing: the whole of it is not in S3, and the caller can wait.
        """
        for stream in ("stdout", "stderr"):
            if wanted in self._first[stream]:
                return msgspec.structs.replace(ended, found_string=True)
        for stream in ("stdout", "stderr"):
            if not self._is_cut[stream]:
                continue
            key = self._key(stream)
            if key is None and patient:
                raise OutputMissing(f"s3://{self._bucket}/{self._prefix} has no {stream} yet")
            if key is None:
                return msgspec.structs.replace(
                    ended,
                    problem=f"the whole {stream} is not in s3://{self._bucket}/{self._prefix},"
                    " so the success string can't be looked for",
                )
            if self._contains(key, wanted.encode(errors="surrogateescape")):
                return msgspec.structs.replace(ended, found_string=True)
        return msgspec.structs.replace(ended, found_string=False)

    def _end_of(self, stream: str, size_bytes: int) -> str:
        if not self._is_cut[stream] or (key := self._key(stream)) is None:
            return self._first[stream][-size_bytes:]
        found = self._s3.get_object(Bucket=self._bucket, Key=key, Range=f"bytes=-{size_bytes}")
        content: bytes = found["Body"].read()
        return content.decode(errors="replace")

    def _contains(self, key: str, wanted: bytes) -> bool:
        kept = b""
        for piece in self._pieces(key):
            kept += piece
            if wanted in kept:
                return True
            kept = kept[-(len(wanted) - 1) :] if len(wanted) > 1 else b""
        return False

    def _pieces(self, key: str) -> Iterator[bytes]:
        body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
        yield from body.iter_chunks(PIECE_BYTES)

    def _key(self, stream: str) -> str | None:
        """The object that holds a whole stream; SSM may be a moment behind with it."""
        give_up_at = time.monotonic() + PATIENCE_S
        while self._keys is None or stream not in self._keys:
            listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix)
            keys = [entry["Key"] for entry in listed.get("Contents", ())]
            self._keys = {key.rpartition("/")[2]: key for key in keys}
            if stream in self._keys:
                break
            if time.monotonic() >= give_up_at:
                return None
            time.sleep(LOOK_EVERY_S)
        return self._keys[stream]
