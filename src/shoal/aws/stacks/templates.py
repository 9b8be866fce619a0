"""The templates: finding them, what parameters they have, and what they refer to on this disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from shoal.core.errors import ShoalError

Part = Literal["scheduler", "fleet"]
PARTS: tuple[Part, ...] = ("scheduler", "fleet")

FUNCTIONS = "../build/functions"
"""What every function's CodeUri says: the folder that `make bundle` fills."""

_REFERENCE = re.compile(r"^(?P<head> *(?:- )?(?P<key>CodeUri|DefinitionUri): *)(?P<value>.*?) *$")
_KEY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z0-9]+):(?: +(?P<value>.*))?$")


class TemplatesMissing(ShoalError):
    """The templates are not where they should be, or not as they should be."""

    code = "templates_missing"


class Parameter(NamedTuple):
    """A parameter of a template.

    Args:
        name: its name.
        default: the value it has by default; None when it must be given.
    """

    name: str
    default: str | None


@dataclass(frozen=True)
class Template:
    """A template, as read.

    Args:
        part: which of the two it is.
        file: where it is.
        text: what it says.
        parameters: what it can be given, by name.
    """

    part: Part
    file: Path
    text: str
    parameters: dict[str, Parameter]

    def pack(self, place: Callable[[Path | None], str]) -> str:
        """The text with each reference to this disk replaced.

        Args:
            place: brings what a reference means to where AWS can read it, and returns its
                `s3://` location; None means the function bundle.

        Raises:
            TemplatesMissing: a reference leads nowhere.
        """
        lines = []
        for number, line in enumerate(self.text.splitlines(), 1):
            match = _REFERENCE.match(line)
            value = _plain(match["value"]) if match else ""
            if match is None or not value or value.startswith("s3://"):
                lines.append(line)
                continue
            if match["key"] == "CodeUri":
                if value != FUNCTIONS:
                    raise TemplatesMissing(
                        f"{self.file} line {number}: CodeUri is {value!r}",
                        f"make it {FUNCTIONS}, the function bundle, or an s3:// location",
                    )
                lines.append(match["head"] + place(None))
                continue
            file = self.file.parent / value
            if not file.is_file():
                raise TemplatesMissing(
                    f"{self.file} line {number}: there is no file {file}", "correct the path"
                )
            lines.append(match["head"] + place(file))
        return "\n".join(lines) + "\n"


def read_templates(folder: Path | None = None) -> dict[Part, Template]:
    """Read both templates.

    Args:
        folder: where they are; None takes those that came with Shoal.

    Raises:
        TemplatesMissing: they are not there.
    """
    where = folder if folder is not None else find_templates()
    return {part: _read(where / f"{part}.template.yaml", part) for part in PARTS}


def find_templates() -> Path:
    """The folder of the templates that came with Shoal.

    Raises:
        TemplatesMissing: they did not come.
    """
    package = Path(__file__).parents[2]
    for folder in (package / "infra", package.parent.parent / "infra"):
        if all((folder / f"{part}.template.yaml").is_file() for part in PARTS):
            return folder
    raise TemplatesMissing(
        f"the templates did not come with Shoal in {package}",
        "install Shoal again, or name a folder with --templates",
    )


def _read(file: Path, part: Part) -> Template:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TemplatesMissing(
            f"there is no template {file}", "name a folder that holds both with --templates"
        ) from None
    return Template(part, file, text, _parameters(text))


def _parameters(text: str) -> dict[str, Parameter]:
    """What the section `Parameters` of a template in YAML's block style declares."""
    defaults: dict[str, str | None] = {}
    inside, depth, name = False, 0, ""
    for line in text.splitlines():
        match = _KEY.match(line)
        if match is None:
            continue
        indent = len(match["indent"])
        if indent == 0:
            inside, depth = match["name"] == "Parameters", 0
        elif inside:
            depth = depth or indent
            if indent == depth:
                name = match["name"]
                defaults[name] = None
            elif match["name"] == "Default" and defaults[name] is None:
                defaults[name] = _plain(match["value"] or "")
    return {name: Parameter(name, default) for name, default in defaults.items()}


def _plain(value: str) -> str:
    """A YAML scalar of one line, without quotes or comment."""
    if value[:1] in ("'", '"'):
        return value[1:].partition(value[0])[0]
    return "" if value.startswith("#") else value.partition(" #")[0].strip()
