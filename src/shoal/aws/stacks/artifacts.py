"""The artifact bucket: where CloudFormation and Lambda read templates and bundle from."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from shoal.aws.account import Account, AwsUnusable, aws_errors, error_code


class ArtifactBucket:
    """A private bucket of this account, in which a file's name follows from its content.

    Args:
        account: whose.
        name: of an existing bucket; None takes, and makes, the account's own for Shoal.
    """

    def __init__(self, account: Account, name: str | None = None) -> None:
        self.name = name or f"shoal-artifacts-{account.number}-{account.region}"
        self._is_ours = name is None
        self._account = account
        self._s3 = account.client("s3")
        # Bucket names are the world's: never hand files to one that a stranger took first.
        self._owner = {"Bucket": self.name, "ExpectedBucketOwner": account.number}

    def prepare(self) -> bool:
        """Make sure that the bucket is there and ours; whether it was made just now.

        Raises:
            AwsUnusable: it belongs to others, is elsewhere, or does not exist.
        """
        from botocore.exceptions import ClientError

        try:
            found = self._s3.head_bucket(**self._owner)
        except ClientError as error:
            if error_code(error) in ("404", "NoSuchBucket") and self._is_ours:
                self._create()
                return True
            raise self._unusable(error_code(error)) from error
        region = found.get("BucketRegion")
        if region not in (None, self._account.region):
            raise AwsUnusable(
                f"bucket {self.name} is in {region}, the stack in {self._account.region}",
                "name a bucket of that region: Lambda reads from no other",
            )
        return False

    def put(self, content: bytes, suffix: str, digest: str | None = None) -> str:
        """Upload content, unless it is there already; its key.

        Args:
            content: the file.
            suffix: what its name ends with.
            digest: what its name begins with; None takes the content's SHA-256.
        """
        from botocore.exceptions import ClientError

        key = f"shoal/{digest or hashlib.sha256(content).hexdigest()}{suffix}"
        with aws_errors():
            try:
                self._s3.head_object(Key=key, **self._owner)
            except ClientError as error:
                if error_code(error) not in ("404", "NoSuchKey"):
                    raise
                self._s3.put_object(Key=key, Body=content, **self._owner)
        return key

    def url(self, key: str) -> str:
        """Where CloudFormation reads a template."""
        return f"{self._s3.meta.endpoint_url}/{self.name}/{key}"

    def _unusable(self, code: str) -> AwsUnusable:
        if code in ("404", "NoSuchBucket"):
            return AwsUnusable(
                f"there is no bucket {self.name}",
                "make it, or leave out --bucket: Shoal then makes one of its own",
            )
        if code in ("403", "AccessDenied"):
            return AwsUnusable(
                f"bucket {self.name} is not yours, or you may not use it (s3:ListBucket)",
                "name another with --bucket, or have that action allowed",
            )
        return AwsUnusable(
            f"bucket {self.name} can't be used ({code})",
            f"name one in {self._account.region} with --bucket",
        )

    def _create(self) -> None:
        region = self._account.region
        place: dict[str, Any] = (
            {}
            if region == "us-east-1"  # it has no name here, for reasons of history
            else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        )
        partition = self._account.identity.split(":")[1]
        arn = f"arn:{partition}:s3:::{self.name}"
        only_tls = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "OnlyTls",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [arn, f"{arn}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ],
        }
        sealed = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy")
        with aws_errors():
            self._s3.create_bucket(Bucket=self.name, ObjectOwnership="BucketOwnerEnforced", **place)
            self._s3.get_waiter("bucket_exists").wait(**self._owner)
            self._s3.put_public_access_block(
                PublicAccessBlockConfiguration=dict.fromkeys(
                    (*sealed, "RestrictPublicBuckets"), True
                ),
                **self._owner,
            )
            rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            self._s3.put_bucket_encryption(
                ServerSideEncryptionConfiguration={"Rules": [rule]}, **self._owner
            )
            self._s3.put_bucket_policy(Policy=json.dumps(only_tls), **self._owner)
