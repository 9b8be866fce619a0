"""What AWS and boto3 refuse, told in words that help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from botocore.exceptions import ClientError

from shoal.aws.account import aws_errors, split_name
from shoal.core.errors import ShoalError

SHOAL = str(Path(sys.executable).with_name("shoal"))
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_MAX_ATTEMPTS": "1",
}
SSO = """\
[profile work]
sso_session = s
sso_account_id = 123456789012
sso_role_name = r
region = eu-west-1
[sso-session s]
sso_start_url = https://example.awsapps.com/start
sso_region = eu-west-1
sso_registration_scopes = sso:account:access
"""


class User(NamedTuple):
    """Somebody without anything of AWS."""

    variables: dict[str, str]
    words: tuple[str, ...]

    def type(
        self,
        *words: str,
        variables: dict[str, str] | None = None,
        program: tuple[str, ...] = (SHOAL,),
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *words, *self.words],
            env={**self.variables, **(variables or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def user(tmp_path: Path) -> User:
    for part in ("scheduler", "fleet"):
        (tmp_path / f"{part}.template.yaml").write_text("Resources: {}\n")
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return User(variables, ("--templates", str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "variables", "said"),
    [
        ("demo@eu-west-1", {}, ("no complete AWS credentials", "aws configure")),
        ("demo", KEYS, ("no AWS region", "NAME@eu-west-1")),
        ("demo@mars", KEYS, ("'mars' is no AWS region",)),
        ("demo", {**KEYS, "AWS_REGION": "eu-west-1"}, ("can't be reached", "check the network")),
        ("demo", {"AWS_PROFILE": "nope"}, ("no profile 'nope'", "choose one of: work")),
        ("demo", {"AWS_PROFILE": "work"}, ("sign-in is missing or has expired", "aws sso login")),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(
    user: User, tmp_path: Path, name: str, variables: dict[str, str], said: tuple[str, ...]
) -> None:
    """No credentials, region, way or sign-in: exit code 3, one line, what to do."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(SSO)
    ended = user.type("deploy", name, variables=variables)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("shoal: ")
    assert ended.stderr.count("\n") == 1
    for text in said:
        assert text in ended.stderr


def test_without_boto3_the_extra_is_named(user: User) -> None:
    """Where boto3 is not installed, the error says how to install it."""
    code = (
        "import sys; sys.modules['boto3'] = None; sys.modules['botocore'] = None;"
        "from shoal.cli.main import main; main()"
    )
    ended = user.type("deploy", "demo", program=(sys.executable, "-c", code))
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "pip install 'shoal[aws]'" in ended.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ExpiredToken", "expired.*aws sso login"),
        ("InvalidClientTokenId", "does not accept the credentials"),
        ("AccessDenied", r"denies CreateChangeSet \(M\).*allowed"),
        ("UnauthorizedOperation", "denies CreateChangeSet"),
        ("Throttling", "throttles CreateChangeSet.*run the same again"),
        ("SlowDown", "throttles"),
        ("ValidationError", r"refuses CreateChangeSet \(ValidationError: M\)"),
    ],
)
def test_refusals_say_what_to_do(code: str, said: str) -> None:
    """Each kind of refusal names the call, AWS's own words, and a remedy of its own."""
    with pytest.raises(ShoalError, match=said), aws_errors():
        raise ClientError({"Error": {"Code": code, "Message": "M."}}, "CreateChangeSet")


def test_a_name_may_hold_a_region() -> None:
    """NAME, NAME@REGION, and both with aws: before them."""
    assert split_name("demo") == ("demo", None)
    assert split_name("demo@eu-west-1") == ("demo", "eu-west-1")
    assert split_name("aws:demo@eu-west-1") == ("demo", "eu-west-1")
