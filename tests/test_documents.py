"""What the documents say works: their commands are run, their generated parts are compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has just installed Shoal, with short waits."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(tmp_path), "SHOAL_LINGER_S": "0.2"}


def test_the_readme_commands_work_in_order(tmp_path: Path, variables: dict[str, str]) -> None:
    """The README's shell blocks, run one after the other in an empty folder, do what they say."""
    script = "\n".join(["set -euo pipefail", *blocks("sh")])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Hello world" in done.stdout
    assert (tmp_path / "jobs/hello/greeting.txt").read_text() == "Hello world\n"
    assert '"status":"Successful"' in done.stdout.splitlines()[-1]


def test_the_readme_python_works(tmp_path: Path, variables: dict[str, str]) -> None:
    """The README's Python block submits ten jobs."""
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "10" in done.stdout


def test_the_readme_links_lead_somewhere() -> None:
    """Each relative link in the documents names a file that exists."""
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document}: {target}"


def test_the_generated_documents_are_up_to_date() -> None:
    """What docs/ says of the code is what the code says."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs/generate.py", "--check"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr
