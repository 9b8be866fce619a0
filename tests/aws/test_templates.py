"""Templates as `shoal deploy` reads them: parameters, and references to this disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.aws.stacks.templates import Parameter, TemplatesMissing, read_templates

SCHEDULER = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
# Parameters: not these

Parameters:
  # how long
  TimeoutJob:
    Type: Number
    Default: 300  # seconds
  Colour:
    Description: "a word: red"
    Type: String
    Default: 'dark red'
    AllowedValues:
      - dark red
  Empty: {Type: String}
  Blank:
    Type: String
    Default: ""

Resources:
  Default:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: ../build/functions
      Layers: [1]
  Other:
    Properties:
      CodeUri: "../build/functions"  # the same
  Theirs:
    Properties:
      CodeUri: s3://bucket/key
  Machine:
    Properties:
      DefinitionUri: machine.json
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scheduler.template.yaml").write_text(SCHEDULER)
    (tmp_path / "fleet.template.yaml").write_text("Resources: {}\n")
    (tmp_path / "machine.json").write_text("{}")
    return tmp_path


def test_parameters_are_read_with_their_defaults(folder: Path) -> None:
    """Each parameter is known by its name, and whether it must be given."""
    assert read_templates(folder)["scheduler"].parameters == {
        name: Parameter(name, default)
        for name, default in (
            ("TimeoutJob", "300"),
            ("Colour", "dark red"),
            ("Empty", None),
            ("Blank", ""),
        )
    }
    assert read_templates(folder)["fleet"].parameters == {}


def test_references_to_this_disk_are_replaced_and_nothing_else(folder: Path) -> None:
    """CodeUri and DefinitionUri lead to S3 afterwards; every other line stays as it is."""
    asked: list[Path | None] = []

    def place(file: Path | None) -> str:
        asked.append(file)
        return f"s3://artifacts/{file.name if file else 'bundle'}"

    packed = read_templates(folder)["scheduler"].pack(place)
    assert asked == [None, None, folder / "machine.json"]
    changed = [
        (before, after)
        for before, after in zip(SCHEDULER.splitlines(), packed.splitlines(), strict=True)
        if before != after
    ]
    assert [after for _, after in changed] == [
        "      CodeUri: s3://artifacts/bundle",
        "      CodeUri: s3://artifacts/bundle",
        "      DefinitionUri: s3://artifacts/machine.json",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("CodeUri: ../build/functions", "CodeUri: ./src", r"line 25: CodeUri is './src'"),
        ("machine.json", "nowhere.json", r"line 35: there is no file .*nowhere\.json"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(
    folder: Path, old: str, new: str, said: str
) -> None:
    """The error names file and line."""
    file = folder / "scheduler.template.yaml"
    file.write_text(SCHEDULER.replace(old, new, 1))
    with pytest.raises(TemplatesMissing, match=said):
        read_templates(folder)["scheduler"].pack(lambda file: "s3://a/b")


def test_a_folder_without_templates_is_refused(tmp_path: Path) -> None:
    """The error names the file that is missing."""
    with pytest.raises(TemplatesMissing, match=r"scheduler\.template\.yaml"):
        read_templates(tmp_path)
