"""The session that a person's calls go through: what they must act on comes as a `ShoalError`.

Answers that code acts upon (a condition that did not hold, a key that is not there) stay what boto3
makes of them; credentials, rights, region, network and throttles are for the person.
"""

from __future__ import annotations

from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from shoal.aws.account import AwsRefused, AwsUnusable, aws_errors, error_code, open_session

CONFIG = Config(
    connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 6}
)
"""A person waits: boto3's own patience with a network that is not there is five minutes."""

GONE = {
    ("dynamodb", "ResourceNotFoundException"),
    ("s3", "NoSuchBucket"),
    ("sqs", "AWS.SimpleQueueService.NonExistentQueue"),
    ("sqs", "QueueDoesNotExist"),
    ("states", "StateMachineDoesNotExist"),
}
"""A part of a stack is missing, which no code of a client's expects of one that was deployed."""


class _Readable:
    """Put before the classes of a session's clients."""

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> Any:
        try:
            return super()._make_api_call(operation_name, api_params)  # type: ignore[misc]
        except ParamValidationError:
            raise  # a defect of ours
        except (BotoCoreError, ClientError) as error:
            service: str = self.meta.service_model.service_name  # type: ignore[attr-defined]
            if unusable := _for_people(error, service):
                raise unusable from error
            raise


def open_client_session(region: str | None = None) -> Any:
    """A boto3 session for a person's calls.

    Raises:
        AwsMissing, AwsUnusable: as `open_session`; the latter by each call through it, too.
    """
    session = open_session(region=region)
    session.events.register("creating-client-class", _make_readable)
    return session


def _make_readable(base_classes: list[type], **_: object) -> None:
    base_classes.insert(0, _Readable)


def _for_people(error: BotoCoreError | ClientError, service: str) -> AwsUnusable | None:
    """Our error, when a person must act; None when the code that called may know what to do."""
    try:
        with aws_errors():
            raise error
    except AwsUnusable as unusable:
        return unusable
    except AwsRefused as refused:
        if isinstance(error, ClientError) and (service, error_code(error)) in GONE:
            return AwsUnusable(
                f"a part of the stack is not there ({refused.what})",
                "deploy the stack again: 'shoal deploy' brings back what is missing",
            )
        return None
