"""Writes the parts of docs/ that come from the code, between their markers: `make docs`.

The tests run it with `--check`, so that what the docs say of the code stays true.
"""

import argparse
import json
import sys
from pathlib import Path

import click
import msgspec

from shoal.cli.main import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_UNSUCCESSFUL,
    EXIT_UNUSABLE,
    VERBS,
    cli,
)
from shoal.core.lifecycle import state_diagram, transition_table
from shoal.core.spec import JobSpec
from shoal.settings import Next, Settings

DOCS = Path(__file__).parent


def main() -> None:
    """Write, or with --check only compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when stale")
    check = parser.parse_args().check
    stale = [
        file
        for file, parts in {
            "explanation/architecture.md": {
                "diagram": _diagram(),
                "table": transition_table(),
            },
            "reference/cli.md": {"verbs": _verbs()},
            "reference/exit-codes.md": {"codes": _codes()},
            "reference/job.md": {"job": _table("key", JobSpec)},
            "reference/settings.md": {
                "settings": _table("setting", Settings, leave_out="next"),
                "next": _table("key", Next),
            },
        }.items()
        if _put_parts(DOCS / file, parts, check=check)
    ]
    if _write(schema := DOCS / "reference/job.schema.json", _schema(), check=check):
        stale.append(schema.name)
    if check and stale:
        sys.exit(f"out of date: {', '.join(stale)}; run 'make docs'")


def _put_parts(file: Path, parts: dict[str, str], *, check: bool) -> bool:
    """Put each part between its markers; whether that changed the file."""
    text = file.read_text()
    for name, part in parts.items():
        start, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
        head, _, rest = text.partition(start)
        _, _, tail = rest.partition(end)
        text = f"{head}{start}\n{part}\n{end}{tail}"
    return _write(file, text, check=check)


def _write(file: Path, text: str, *, check: bool) -> bool:
    changed = not file.exists() or file.read_text() != text
    if changed and not check:
        file.write_text(text)
    return changed


def _diagram() -> str:
    """The state diagram without what leaves a state as it is; one arrow for each way."""
    head, *arrows = state_diagram().splitlines()
    events: dict[str, list[str]] = {}
    for arrow in arrows:
        way, _, event = arrow.partition(": ")
        start, _, end = way.strip().partition(" --> ")
        if start != end and event:
            events.setdefault(way, []).append(event)
    lines = [f"{way}: {', '.join(names)}" for way, names in events.items()]
    return "\n".join(["```mermaid", head, "    direction LR", *lines, "```"]) + "\n"


def _verbs() -> str:
    context = click.Context(cli, info_name="shoal")
    sections = []
    for verb in VERBS:
        command = cli.get_command(context, verb)
        assert command is not None
        help_text = command.get_help(click.Context(command, context, info_name=verb))
        lines = [line.rstrip() for line in help_text.splitlines()]
        sections.append(f"## shoal {verb}\n\n```text\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(sections)


def _codes() -> str:
    meanings = {
        0: "done",
        EXIT_UNSUCCESSFUL: "a job was not successful (`wait`), something is wrong (`doctor`,"
        " `demo`), or a stack failed or stayed (`deploy`, `destroy`)",
        EXIT_BAD_INPUT: "bad usage or bad input; nothing was changed",
        EXIT_UNUSABLE: "the environment can't be used as it is; the message says what helps",
        EXIT_INTERRUPTED: "interrupted by Ctrl-C",
    }
    rows = [f"| {code} | {meaning} |" for code, meaning in meanings.items()]
    return "| code | meaning |\n|---|---|\n" + "\n".join(rows) + "\n"


def _schema() -> str:
    """A JSON Schema of the job, for editors and other programs; numbers may be texts, too."""
    schema = msgspec.json.schema(JobSpec)
    job = schema["$defs"]["JobSpec"]
    job["description"] = "A job of Shoal."
    for name, key in job["properties"].items():
        key["description"] = _argument(JobSpec, name)
        for kind in (key, *key.get("anyOf", ())):
            if kind.get("type") in ("integer", "number"):
                kind["type"] = [kind["type"], "string"]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Job"}
    return json.dumps({**head, **schema}, indent=2) + "\n"


def _table(what: str, owner: type[msgspec.Struct], *, leave_out: str = "") -> str:
    """The fields of a struct: name, default, and what its docstring says of each."""
    rows = []
    for field in msgspec.structs.fields(owner):
        if field.name != leave_out:
            default = "required" if field.required else f"`{_default(field)}`"
            rows.append(f"| `{field.name}` | {default} | {_argument(owner, field.name)} |")
    return f"| {what} | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default
    if value is msgspec.NODEFAULT:
        value = field.default_factory()
    return msgspec.json.encode(value).decode()


def _argument(owner: type, name: str) -> str:
    """What the Args section of a class's docstring says of an argument, as one line."""
    lines = (owner.__doc__ or "").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"        {name}: "))
    said = [lines[start].partition(": ")[2]]
    for line in lines[start + 1 :]:
        if not line.startswith(" " * 12):
            break
        said.append(line.strip())
    return " ".join(said)


if __name__ == "__main__":
    main()
