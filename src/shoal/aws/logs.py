"""The output of attempts: streamed to CloudWatch Logs while one runs, whole in S3 afterwards."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from botocore.exceptions import ClientError

from shoal.aws.account import aws_errors, error_code
from shoal.aws.edge import CONFIG
from shoal.aws.s3 import Bucket
from shoal.aws.target import Target
from shoal.core.job import Attempt, Job, Token

KINDS = ("stdout", "stderr")
BLANK = b" \t\r\n"
_STEP_NUMBER = re.compile(r"^\d+\.")

Command = Callable[[str, Token], "tuple[str, str] | None"]
"""The SSM command of an attempt and the instance it ran on; None: it was never sent."""


class AwsLogs:
    """A `client_ports.Logs`.

    Args:
        target: the stack.
        command: finds the command of an attempt.
    """

    look_every_s = 1.0

    def __init__(self, target: Target, command: Command) -> None:
        self._command = command
        self._queue = target.queue
        self._group = target.log_group
        self._bucket = Bucket(target.session, target.log_bucket)
        self._cloudwatch = target.session.client("logs", config=CONFIG)

    def find(self, job: Job, token: Token, ended: Attempt | None) -> AwsLog | None:
        ran = self._command(job.job_id, token)
        if ran is None:
            return None
        command = f"{ran[0]}/{ran[1]}/"
        live = LiveStreams(self._cloudwatch, self._group, command)
        return AwsLog(live, self._bucket, f"{self._queue}/{command}")


class AwsLog:
    """A `client_ports.Log`: what is live first, then the rest of the whole.

    Args:
        live: what is streamed.
        bucket: holds the whole, in the end.
        prefix: of its keys there.
    """

    def __init__(self, live: LiveStreams, bucket: Bucket, prefix: str) -> None:
        self.location = f"s3://{bucket.name}/{prefix}"
        self._live = live
        self._bucket = bucket
        self._prefix = prefix
        self._shown: dict[str, Shown] = {}

    def leave_out(self, all_but_bytes: int) -> bool:
        return False  # a stream is read from its beginning on

    def read(self, *, over: bool) -> Iterator[bytes]:
        with aws_errors():
            if over and (files := self._files()):
                yield from self._rest(files)
            else:  # it runs, or its machine went away before it could save the whole
                yield from self._new()

    def close(self) -> None:
        """Nothing is open between two reads."""

    def _files(self) -> dict[str, str]:
        """The keys of the whole, standard output first, by the name of the stream."""
        return {_stream_of(key): key for key in _in_order(self._bucket.keys(self._prefix))}

    def _new(self) -> Iterator[bytes]:
        for stream, piece in self._live.read():
            self._shown.setdefault(stream, Shown()).add(piece)
            yield piece

    def _rest(self, files: dict[str, str]) -> Iterator[bytes]:
        """What of the whole was not shown yet."""
        unlike = set()
        for stream, key in files.items():
            if not (shown := self._shown.get(stream)):
                yield from self._bucket.read(key)
                continue
            rest = shown.skip(self._bucket.read(key))
            if rest is None:
                unlike.add(stream)
            else:
                yield from rest
        if unlike:  # what was streamed is not what is in the file: stay with the stream
            yield from (piece for stream, piece in self._live.read() if stream in unlike)


def _kind(key: str) -> str:
    return key.rpartition("/")[2]


def _stream_of(key: str) -> str:
    """What `.../0.awsrunShellScript/stdout` in S3 and `.../aws-runShellScript/stdout` in CloudWatch
    have in common."""
    *_, step, kind = key.split("/")
    return f"{_STEP_NUMBER.sub('', step).replace('-', '')}/{kind}"


def _in_order(keys: Iterable[str]) -> list[str]:
    """Those of the keys that are output, standard output first."""
    found = [key for key in keys if _kind(key) in KINDS]
    return sorted(found, key=lambda key: KINDS.index(_kind(key)))


class Shown:
    """What was shown of a stream, as far as is needed to go on with it elsewhere.

    White space is left out of the comparison: a stream comes as lines, without what ends them.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._count = 0
        self._blank_end = b""

    def add(self, piece: bytes) -> None:
        """Note what was just shown."""
        solid = piece.translate(None, BLANK)
        self._hash.update(solid)
        self._count += len(solid)
        said = piece.rstrip(BLANK)
        self._blank_end = piece[len(said) :] if said else self._blank_end + piece

    def skip(self, whole: Iterator[bytes]) -> Iterator[bytes] | None:
        """What follows in the whole; None when that does not begin with what was shown."""
        found = hashlib.sha256()
        left = self._count
        for piece in whole:
            solid = piece.translate(None, BLANK)
            if len(solid) < left:
                found.update(solid)
                left -= len(solid)
                continue
            found.update(solid[:left])
            if found.digest() != self._hash.digest():
                return None
            return self._after(piece[_position(piece, left) :], whole)
        return None if left else iter(())

    def _after(self, first: bytes, whole: Iterator[bytes]) -> Iterator[bytes]:
        """Leave out the white space that was shown last, too."""
        blank = self._blank_end
        for piece in chain((first,), whole):
            at = 0
            while blank and at < len(piece):
                if piece[at] == blank[0]:
                    blank = blank[1:]
                elif piece[at : at + 1] != b"\r":
                    blank = b""
                    break
                at += 1
            if at < len(piece):
                yield piece[at:]


def _position(piece: bytes, solid: int) -> int:
    """Where so many bytes that are no white space have passed."""
    for at, byte in enumerate(piece):
        if solid == 0:
            return at
        solid -= byte not in BLANK
    return len(piece)


class LiveStreams:
    """The streams of one command in CloudWatch Logs, each read from its beginning on.

    Args:
        client: of CloudWatch Logs.
        group: their log group.
        prefix: of their names.
    """

    def __init__(self, client: Any, group: str, prefix: str) -> None:
        self._client = client
        self._group = group
        self._prefix = prefix
        self._next: dict[str, str | None] = {}

    def read(self) -> Iterator[tuple[str, bytes]]:
        """What has come since the last call, with the name of its stream."""
        try:
            for name in self._names():
                for piece in self._read_one(name):
                    yield _stream_of(name), piece
        except ClientError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise

    def _names(self) -> list[str]:
        pages = self._client.get_paginator("describe_log_streams").paginate(
            logGroupName=self._group, logStreamNamePrefix=self._prefix
        )
        return _in_order(stream["logStreamName"] for page in pages for stream in page["logStreams"])

    def _read_one(self, name: str) -> Iterator[bytes]:
        while True:
            token = self._next.get(name)
            answer = self._client.get_log_events(
                logGroupName=self._group,
                logStreamName=name,
                startFromHead=True,
                **({"nextToken": token} if token else {}),
            )
            for event in answer["events"]:
                message: str = event["message"]
                yield (message if message.endswith("\n") else f"{message}\n").encode()
            self._next[name] = answer["nextForwardToken"]
            if answer["nextForwardToken"] == token:
                return
