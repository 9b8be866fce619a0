"""The templates as the linters see them. checkov has an environment of its own: make lint-infra."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from .infra import PARTS, ROOT, file_of, resources, states

STATE_MACHINE_RULE = "E3601"


def lint(files: Iterable[Path]) -> list[dict[str, Any]]:
    """What cfn-lint finds in files."""
    program = str(Path(sys.executable).with_name("cfn-lint"))
    done = subprocess.run(
        [program, "--format", "json", *map(str, files)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert not done.stderr, done.stderr
    findings: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return findings


def test_cfn_lint_finds_nothing() -> None:
    """Both templates are clean, warnings and remarks included."""
    assert lint(map(file_of, PARTS)) == []


def write_machine(file: Path, changes: dict[str, dict[str, Any]]) -> Path:
    """The state machine as plain CloudFormation: cfn-lint does not look into that of SAM.

    Its rule knows no expression for TimeoutSeconds, which Step Functions does.
    """
    definition = copy.deepcopy(dict(definition_of_machine()))
    definition["States"]["RunJob"]["TimeoutSeconds"] = 300
    for name, change in changes.items():
        definition["States"][name] |= change
    properties = {"RoleArn": "arn:aws:iam::123456789012:role/any", "Definition": definition}
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    file.write_text(json.dumps({"Resources": {"Machine": machine}}))
    return file


def definition_of_machine() -> dict[str, Any]:
    """The state machine."""
    [machine] = resources("scheduler", "AWS::Serverless::StateMachine").values()
    found: dict[str, Any] = machine["Definition"]
    return found


def test_the_state_machine_is_well_formed(tmp_path: Path) -> None:
    """cfn-lint finds nothing in it; and in broken copies it finds what is broken."""
    files = [
        write_machine(tmp_path / f"{name}.json", changes)
        for name, changes in (
            ("whole", {}),
            ("misspelt", {"Protect": {"Rety": []}}),
            ("unknown", {"Idle": {"Type": "Sleep"}}),
            ("other-language", {"Retire": {"InputPath": "$"}}),
        )
    ]
    found = {
        (Path(finding["Filename"]).stem, finding["Rule"]["Id"], *finding["Location"]["Path"][-2:])
        for finding in lint(files)
    }
    assert found == {
        ("misspelt", STATE_MACHINE_RULE, "Protect", "Rety"),
        ("unknown", STATE_MACHINE_RULE, "Idle", "Type"),
        ("other-language", STATE_MACHINE_RULE, "Retire", "InputPath"),
    }


def next_states(state: dict[str, Any]) -> list[str]:
    """Where a state leads."""
    found = [state[key] for key in ("Next", "Default") if key in state]
    return found + [way["Next"] for way in (*state.get("Choices", ()), *state.get("Catch", ()))]


def test_each_state_leads_somewhere() -> None:
    """Each next state exists, and each state can be reached."""
    targets = {target for state in states().values() for target in next_states(state)}
    assert targets | {definition_of_machine()["StartAt"]} == set(states())


def test_no_path_ends_with_the_worker_alive() -> None:
    """An execution ends by retiring its worker or by handing over to the next generation; each
    error of a task leads there, and retiring itself is repeated for many minutes."""
    ends = {name for name, state in states().items() if not next_states(state)}
    assert ends == {"Retire", "HandedOver"}
    leads_to_end = {name for name, state in states().items() if "HandedOver" in next_states(state)}
    assert leads_to_end == {"NextGeneration"}
    for name, state in states().items():
        if state["Type"] == "Choice":
            assert "Default" in state, name
        if state["Type"] != "Task" or name == "Retire":
            continue
        last = state["Catch"][-1]
        # Protection from scale-in is not worth a worker.
        target = "NextJob" if name == "Protect" else "Retire"
        assert (last["ErrorEquals"], last["Next"]) == (["States.ALL"], target), name
    [again] = states()["Retire"]["Retry"]
    assert again["ErrorEquals"] == ["States.ALL"]
    assert again["MaxAttempts"] * again["MaxDelaySeconds"] >= 600


def test_the_architecture_page_shows_the_state_machine() -> None:
    """Its diagram has the machine's states and ways, and no others."""
    text = (ROOT / "docs/explanation/architecture.md").read_text()
    _, _, text = text.partition("## The AWS environment")
    drawn = set(re.findall(r"^    (\S+) --> ([^\s:]+)", text, re.MULTILINE))
    ways = {(name, target) for name, state in states().items() for target in next_states(state)}
    ends = {(name, "[*]") for name, state in states().items() if not next_states(state)}
    assert drawn == ways | ends | {("[*]", definition_of_machine()["StartAt"])}


@pytest.mark.parametrize("part", PARTS)
def test_each_exception_says_why(part: str) -> None:
    """What checkov is told to skip has a reason beside it."""
    skips = re.findall(r"# checkov:skip=(.*)", file_of(part).read_text())
    assert skips
    for skip in skips:
        assert re.fullmatch(r"CKV2?_AWS_\d+:.{20,}\.", skip), skip


@pytest.mark.parametrize("part", PARTS)
def test_templates_have_no_anchors(part: str) -> None:
    """CloudFormation reads no aliases."""
    assert not re.search(r"^[^#\"']*[:-] [&*][A-Za-z]", file_of(part).read_text(), re.MULTILINE)
