"""Writes the parts of docs/ that come from the code, between their markers: `make docs`.

The tests run it with `--check`, so that what the docs say of the code stays true.
"""

import argparse
import sys
from pathlib import Path

import click
import msgspec

from shoal.cli.main import VERBS, cli
from shoal.core.lifecycle import state_diagram, transition_table
from shoal.core.spec import JobSpec
from shoal.settings import Settings

DOCS = Path(__file__).parent


def main() -> None:
    """Write, or with --check only compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when stale")
    check = parser.parse_args().check
    stale = [
        file
        for file, parts in {
            "architecture.md": {
                "diagram": f"```mermaid\n{state_diagram()}```\n",
                "table": transition_table(),
            },
            "cli.md": {"verbs": _verbs(), "settings": _settings(), "job": _job()},
        }.items()
        if _write(DOCS / file, parts, check=check)
    ]
    if check and stale:
        sys.exit(f"out of date: {', '.join(stale)}; run 'make docs'")


def _write(file: Path, parts: dict[str, str], *, check: bool) -> bool:
    """Put each part between its markers; whether that changed the file."""
    before = text = file.read_text()
    for name, part in parts.items():
        start, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
        head, _, rest = text.partition(start)
        _, _, tail = rest.partition(end)
        text = f"{head}{start}\n{part}\n{end}{tail}"
    if text != before and not check:
        file.write_text(text)
    return text != before


def _verbs() -> str:
    context = click.Context(cli, info_name="shoal")
    sections = []
    for verb in VERBS:
        command = cli.get_command(context, verb)
        assert command is not None
        help_text = command.get_help(click.Context(command, context, info_name=verb))
        lines = [line.rstrip() for line in help_text.splitlines()]
        sections.append(f"### shoal {verb}\n\n```text\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(sections)


def _settings() -> str:
    defaults = msgspec.structs.asdict(Settings())
    rows = [
        f"| `{name}` | `{_toml(value)}` | {_argument(Settings, name)} |"
        for name, value in defaults.items()
    ]
    return "| setting | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _job() -> str:
    rows = []
    for field in msgspec.structs.fields(JobSpec):
        default = "required" if field.required else f"`{_default(field)}`"
        rows.append(f"| `{field.name}` | {default} | {_argument(JobSpec, field.name)} |")
    return "| key | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"


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


def _toml(value: object) -> str:
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    main()
