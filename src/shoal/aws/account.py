"""Who we are on AWS: profile, region and account; and what AWS refuses, in words that help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shoal.core.errors import EnvironmentMissing, ShoalError

REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d+")

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_INVALID = {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "AuthFailure",
    "InvalidToken",
    "NotSignedUp",
    "OptInRequired",
}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "UnauthorizedAccess",
    "NotAuthorized",
    "Forbidden",
    "403",
}
_THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "SlowDown",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
}


class AwsMissing(EnvironmentMissing):
    """boto3 is not installed."""

    code = "aws_missing"


class AwsUnusable(EnvironmentMissing):
    """AWS can't be used as things are: credentials, region, rights, network."""

    code = "aws_unusable"


class AwsRefused(EnvironmentMissing):
    """AWS refuses a call for a reason that only it knows."""

    code = "aws_refused"


@dataclass(frozen=True)
class Account:
    """An AWS account in one region, as one of its identities.

    Args:
        session: boto3's session.
        number: of the account, 12 digits.
        region: its name.
        identity: the ARN that calls are made as.
    """

    session: Any
    number: str
    region: str
    identity: str

    def client(self, service: str) -> Any:
        """A client; it takes up to ten tries at what AWS throttles or fails to answer."""
        from botocore.config import Config

        config = Config(retries={"mode": "standard", "total_max_attempts": 10})
        return self.session.client(service, config=config)


def split_name(name: str) -> tuple[str, str | None]:
    """`NAME`, `NAME@REGION`, either with `aws:` before it -> the name, and the region if any."""
    plain, _, region = name.removeprefix("aws:").partition("@")
    return plain, region or None


def open_account(profile: str | None = None, region: str | None = None) -> Account:
    """Find credentials and region as `open_session` does, and ask whose they are.

    Raises:
        AwsMissing, AwsUnusable: as `open_session`.
    """
    session = open_session(profile, region)
    with aws_errors():
        me = session.client("sts").get_caller_identity()
    return Account(session, me["Account"], session.region_name, me["Arn"])


def open_session(profile: str | None = None, region: str | None = None) -> Any:
    """Find credentials and region, as every tool that is made with boto3 does. Calls nobody yet.

    Args:
        profile: of the AWS configuration; None takes AWS_PROFILE, else the default.
        region: None takes AWS_REGION, AWS_DEFAULT_REGION, else the profile's.

    Returns:
        A boto3 session.

    Raises:
        AwsMissing: boto3 is not installed.
        AwsUnusable: no or bad credentials, no region, no way to AWS.
    """
    need_boto3()
    import os

    import boto3
    from botocore.exceptions import ProfileNotFound

    with aws_errors():
        # boto3 itself looks at AWS_DEFAULT_REGION only; other tools at AWS_REGION first.
        session = boto3.Session(
            profile_name=profile, region_name=region or os.environ.get("AWS_REGION") or None
        )
        chosen = session.region_name
        named = profile or os.environ.get("AWS_PROFILE")
        if named and named not in session.available_profiles:  # else only the first call finds out
            raise ProfileNotFound(profile=named)
    if chosen is None:
        raise AwsUnusable(
            "no AWS region is chosen", "name one: NAME@eu-west-1, --region or AWS_REGION"
        )
    if not REGION.fullmatch(chosen):
        raise AwsUnusable(f"{chosen!r} is no AWS region", "name one like eu-west-1")
    return session


def need_boto3() -> None:
    """Raise AwsMissing when what AWS needs is not installed."""
    try:
        import boto3
    except ModuleNotFoundError as error:
        if error.name not in ("boto3", "botocore"):
            raise
        raise AwsMissing(
            "boto3 is not installed, without which AWS can't be used", "pip install 'shoal[aws]'"
        ) from None
    del boto3


@contextmanager
def aws_errors() -> Iterator[None]:
    """Turn what boto3 raises inside into errors that say what to do."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError:  # nothing that is called inside can raise them
        yield
        return
    try:
        yield
    except ClientError as error:
        raise _of_refusal(error) from error
    except BotoCoreError as error:
        raise _of_failure(error) from error


def error_code(error: Any) -> str:
    """The code in a ClientError."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _of_refusal(error: Any) -> ShoalError:
    code, operation = error_code(error), error.operation_name
    message = str(error.response.get("Error", {}).get("Message", "")) or code
    message = message.rstrip(". ")
    if code in _EXPIRED:
        return AwsUnusable(
            f"the AWS credentials have expired ({operation}: {code})",
            "get new ones: 'aws sso login', or as you got these",
        )
    if code in _INVALID:
        return AwsUnusable(
            f"AWS does not accept the credentials ({operation}: {message})",
            "'aws sts get-caller-identity' shows whose they are; correct them or AWS_PROFILE",
        )
    if code in _DENIED or "not authorized to perform" in message:
        return AwsUnusable(
            f"AWS denies {operation} ({message})",
            "have that action allowed, or use another profile",
        )
    if code in _THROTTLED:
        return AwsUnusable(
            f"AWS throttles {operation}, after ten tries too ({message})",
            "wait a minute, then run the same again: it goes on where it was",
        )
    return AwsRefused(
        f"AWS refuses {operation} ({code}: {message})", "look at what it names, then try again"
    )


def _of_failure(error: Any) -> ShoalError:
    from botocore import exceptions as known

    said = str(error).rstrip(". ")
    if isinstance(error, (known.NoCredentialsError, known.PartialCredentialsError)):
        return AwsUnusable(
            "there are no complete AWS credentials",
            "run 'aws configure' or 'aws configure sso', or choose a profile with --profile or"
            " AWS_PROFILE",
        )
    if isinstance(
        error,
        (known.SSOError, known.TokenRetrievalError, known.CredentialRetrievalError),
    ):
        return AwsUnusable(
            f"the AWS sign-in is missing or has expired ({said})",
            "run 'aws sso login', with --profile if you use one",
        )
    if isinstance(error, known.ProfileNotFound):
        import botocore.session

        there = ", ".join(sorted(botocore.session.Session().available_profiles)) or "none"
        return AwsUnusable(
            f"the AWS configuration has no profile {error.kwargs['profile']!r}",
            f"choose one of: {there}",
        )
    if isinstance(error, known.NoRegionError):
        return AwsUnusable(
            "no AWS region is chosen", "name one: NAME@eu-west-1, --region or AWS_REGION"
        )
    if isinstance(error, (known.HTTPClientError, known.ConnectionError)):
        return AwsUnusable(
            f"AWS can't be reached ({said})", "check the network, the region's name and any proxy"
        )
    return AwsUnusable(
        f"boto3 can't work ({type(error).__name__}: {said})", "correct the AWS configuration"
    )
