"""The templates can be deployed with AWS's own tool, as README and docs say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shoal.aws.bundle import build_bundle
from shoal.aws.stacks.templates import find_templates

from .emulator import Emulator
from .machines import Machines
from .stacks import Deployed
from .watching import PARAMETERS, Watched


@pytest.mark.timeout(240)
def test_package_and_deploy(emulator: Emulator, machines: Machines, tmp_path: Path) -> None:
    """`aws cloudformation package` and `deploy` make both stacks, and a job runs on them."""
    shutil.copytree(find_templates(), tmp_path / "infra")
    build_bundle(tmp_path / "build" / "functions", "local")
    emulator.client("s3").create_bucket(Bucket="plain-artifacts")

    def aws(*arguments: str) -> None:
        done = subprocess.run(
            [Path(sys.executable).parent / "aws", *arguments],
            cwd=tmp_path,
            env=os.environ | emulator.session_env(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    for part, stack in (("scheduler", "plain-part1"), ("fleet", "plain")):
        parameters = (
            PARAMETERS | {"TagKey": "plain-part1"} if part == "fleet" else {"IdleSeconds": "1"}
        )
        if part == "fleet":
            parameters = {key: parameters[key] for key in parameters if key != "IdleSeconds"}
        aws(
            *("cloudformation", "package", "--template-file", f"infra/{part}.template.yaml"),
            *("--s3-bucket", "plain-artifacts", "--output-template-file", f"{part}.yaml"),
        )
        aws(
            *("cloudformation", "deploy", "--template-file", f"{part}.yaml"),
            *("--stack-name", stack, "--s3-bucket", "plain-artifacts"),
            *("--capabilities", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"),
            "--parameter-overrides",
            *(f"{key}={value}" for key, value in parameters.items()),
        )

    fleet = Watched(Deployed(emulator, "plain-part1", "plain"), machines)
    fleet.put("job/run.sh", "#!/bin/sh\necho hello >greeting\n")
    assert fleet.until_over(1, 120) == {"Successful": 1}
    assert fleet.body("job/greeting") == b"hello\n"
