"""`shoal completion`: a script for each shell, which completes verbs, options and job ids."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .shell import SHOAL, Shell


def complete(shell: Shell, kind: str, *words: str) -> list[str]:
    """What a shell is told when the last word is to be completed; as its script asks for it."""
    line = " ".join(("shoal", *words))
    variables = {
        "_SHOAL_COMPLETE": f"{kind}_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words)) if kind != "fish" else words[-1],
    }
    out = shell.type(variables=variables).out
    if kind == "zsh":
        return out.splitlines()[1::3]  # type, value, help
    return [line.partition(",")[2].partition("\t")[0] for line in out.splitlines() if line]


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: Shell, kind: str) -> None:
    """`completion SHELL` prints a script that asks `shoal` itself what completes a line."""
    script = shell.type("completion", kind).out
    assert f"_SHOAL_COMPLETE={kind}_complete" in script


def test_another_shell_is_refused(shell: Shell) -> None:
    """A shell without a script ends with code 2, and those that have one are named."""
    assert "fish" in shell.type("completion", "tcsh", code=2).err


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_verbs_are_completed(shell: Shell, kind: str) -> None:
    """The beginning of a verb is completed."""
    assert complete(shell, kind, "re") == ["report", "relay", "retry", "resume"]


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_job_ids_are_completed(shell: Shell, kind: str) -> None:
    """The beginning of a job id is completed, for every verb that takes one."""
    for name in ("corner/tt", "corner/ss", "other", "[x]"):
        shell.submit(name)
    assert set(complete(shell, kind, "status", "corner/")) == {"corner/tt", "corner/ss"}
    if kind == "zsh":
        return  # the rest is the same for all
    for verb in ("wait", "logs", "fetch", "cancel", "retry"):
        assert complete(shell, kind, verb, "oth") == ["other"]
    assert complete(shell, kind, "status", "[") == ["[x]"]


def test_no_environment_completes_to_nothing(shell: Shell) -> None:
    """Where there is no environment, completing a job id gives nothing, and no error."""
    assert complete(shell, "bash", "status", "a") == []


def test_bash_completes_with_the_script(shell: Shell, tmp_path: Path) -> None:
    """In a real bash that has sourced the script, a word is completed."""
    shell.submit("corner-tt")
    script = tmp_path / "completion.bash"
    script.write_text(shell.type("completion", "bash").out)
    asks = (
        f"source {script}; COMP_WORDS=(shoal status corner); COMP_CWORD=2;"
        ' _shoal_completion shoal; echo "${COMPREPLY[@]}"'
    )
    folder = os.path.dirname(SHOAL)
    variables = shell.variables | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    answer = subprocess.run(
        ["bash", "--norc", "-c", asks],
        cwd=shell.folder,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "corner-tt\n"
