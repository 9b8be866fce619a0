"""A bucket of S3: the few operations that clients need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from shoal.aws import names
from shoal.aws.account import AwsRefused, error_code
from shoal.aws.edge import CONFIG
from shoal.client_ports import Reading

THREADS = 16
"""Objects on their way at a time: each waits for the network most of its time."""

REMOVED_AT_ONCE = 1_000
PIECE_BYTES = 1 << 16

_TRANSFER = TransferConfig(multipart_threshold=64 << 20, use_threads=False)
_MISSING = ("404", "NoSuchKey", "NotFound")


class Bucket:
    """One bucket. Its methods may be called by many threads.

    Args:
        session: of boto3.
        name: of the bucket.
    """

    def __init__(self, session: Any, name: str) -> None:
        self.name = name
        config = CONFIG.merge(Config(max_pool_connections=THREADS))
        self._client = session.client("s3", config=config)

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys that begin so, in order."""
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.name, Prefix=prefix):
            for entry in page.get("Contents", ()):
                yield entry["Key"]

    def holds(self, prefix: str) -> bool:
        """Whether a key begins so."""
        found = self._client.list_objects_v2(Bucket=self.name, Prefix=prefix, MaxKeys=1)
        return bool(found.get("Contents"))

    def look(self, key: str) -> Look | None:
        """What an object's headers say; None when it is not there."""
        try:
            return Look(self._client.head_object(Bucket=self.name, Key=key))
        except ClientError as error:
            if error_code(error) in _MISSING:
                return None
            raise

    def put(self, file: str, key: str) -> None:
        """Upload an input."""
        try:
            self._client.upload_file(file, self.name, key, Config=_TRANSFER)
        except Boto3Error as error:
            raise AwsRefused(
                f"{file!a} could not be uploaded ({error})", "look at what it names, then try again"
            ) from error

    def put_submitted(self, file: str, key: str) -> str:
        """Upload an executable that starts nothing by itself; returns its version."""
        with open(file, "rb") as body:
            answer = self._client.put_object(
                Bucket=self.name, Key=key, Body=body, Metadata={names.MARK: names.SUBMITTED}
            )
        return version_of(answer)

    def get(self, key: str, target: Path) -> None:
        """Download an object to a path, where it appears when it is complete.

        Raises:
            FileNotFoundError: there is no such object.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._client.download_file(self.name, key, str(target), Config=_TRANSFER)
        except ClientError as error:
            if error_code(error) in _MISSING:
                raise FileNotFoundError(key) from None
            raise

    def read(self, key: str) -> Iterator[bytes]:
        """The content of an object, in pieces."""
        answer = self._client.get_object(Bucket=self.name, Key=key)
        with closing(answer["Body"]) as body:
            yield from body.iter_chunks(PIECE_BYTES)

    def open(self, key: str) -> Reading:
        """Open an object.

        Raises:
            FileNotFoundError: there is no such object.
        """
        try:
            answer = self._client.get_object(Bucket=self.name, Key=key)
        except ClientError as error:
            if error_code(error) in _MISSING:
                raise FileNotFoundError(key) from None
            raise
        body = answer["Body"]
        return Reading(answer["ContentLength"], body.read, body.close)

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects; that one is not there is no error."""
        for start in range(0, len(keys), REMOVED_AT_ONCE):
            objects = [{"Key": key} for key in keys[start : start + REMOVED_AT_ONCE]]
            self._client.delete_objects(
                Bucket=self.name, Delete={"Objects": objects, "Quiet": True}
            )


class Look:
    """What the headers of an object say.

    Args:
        answer: of HeadObject.
    """

    def __init__(self, answer: dict[str, Any]) -> None:
        self.version = version_of(answer)
        self.mark: str = answer.get("Metadata", {}).get(names.MARK, "")
        self.size_bytes: int = answer["ContentLength"]
        self.changed_at: float = answer["LastModified"].timestamp()

    @property
    def is_result(self) -> bool:
        """Whether an attempt has uploaded it."""
        return self.mark not in ("", names.SUBMITTED)

    def is_result_of(self, job_id: str) -> bool:
        """Whether an attempt of this job has uploaded it: several may share a folder."""
        return self.mark.startswith(f"{names.short_hash(job_id)}-")


def version_of(answer: dict[str, Any]) -> str:
    """Names a version of an object, in a bucket with versions or without."""
    version: str = answer.get("VersionId", "null")
    return version if version != "null" else answer["ETag"].strip('"')
