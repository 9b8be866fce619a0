"""What keeps a person from AWS is told in words: name, region, credentials, network, boto3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import shoal
from shoal.aws.account import AwsUnusable
from shoal.core.errors import EnvironmentMissing

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Credentials and a region, at an endpoint where nobody answers."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY)
    monkeypatch.setattr("shoal.aws.edge.CONFIG", _impatient())
    monkeypatch.setattr("shoal.aws.target.CONFIG", _impatient())
    return monkeypatch


def _impatient() -> object:
    from botocore.config import Config

    return Config(connect_timeout=1, retries={"total_max_attempts": 1})


@pytest.mark.parametrize("name", ["aws:", "aws:@eu-west-1", "aws:no_stack", "aws:1st", "aws:a@"])
def test_a_name_that_can_be_no_stacks(name: str) -> None:
    """What is no stack's name is refused before anybody is asked."""
    with pytest.raises(EnvironmentMissing, match="names no stack"):
        shoal.connect(name)


def test_a_region_that_is_none() -> None:
    """A misspelt region is refused before anybody is asked."""
    with pytest.raises(AwsUnusable, match="'euwest1' is no AWS region"):
        shoal.connect("aws:stack@euwest1")


def test_no_region(variables: pytest.MonkeyPatch) -> None:
    """Without a region anywhere, the ways to choose one are named."""
    variables.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(AwsUnusable, match="no AWS region is chosen"):
        shoal.connect("aws:stack")


def test_no_credentials(variables: pytest.MonkeyPatch) -> None:
    """Without credentials, the ways to get some are named."""
    variables.delenv("AWS_ACCESS_KEY_ID")
    variables.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AwsUnusable, match="aws configure"):
        shoal.connect("aws:stack")


def test_a_profile_that_is_not_there(variables: pytest.MonkeyPatch) -> None:
    """An unknown profile is named."""
    variables.setenv("AWS_PROFILE", "ghost")
    with pytest.raises(AwsUnusable, match="no profile 'ghost'"):
        shoal.connect("aws:stack")


def test_nobody_answers() -> None:
    """An endpoint that can't be reached is named."""
    with pytest.raises(AwsUnusable, match=r"can't be reached .*127\.0\.0\.1"):
        shoal.connect("aws:stack")


def test_without_boto3() -> None:
    """Where boto3 is missing, the command that installs it is named; folders need none of it."""
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith('boto'): raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Missing())  # as if it were not installed\n"
        "import shoal; from shoal.core.errors import ShoalError\n"
        "try: shoal.connect('aws:stack')\n"
        "except ShoalError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'shoal[aws]'" in said.stdout


def test_folders_load_nothing_of_aws(tmp_path: Path) -> None:
    """A local environment is opened and used without boto3."""
    code = (
        "import sys, shoal\n"
        f"with shoal.connect({str(tmp_path)!r}) as client:\n"
        "    client.submit({'job_id': 'a', 'commands': ['true']}); client.counts()\n"
        "print([name for name in sys.modules if 'boto' in name or name.startswith('shoal.aws')])\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
