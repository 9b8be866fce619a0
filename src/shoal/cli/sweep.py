"""A parameter sweep: a CSV file and a command template -> a job a row."""

from __future__ import annotations

import csv
import difflib
import re
import shlex
from pathlib import Path
from typing import Any

from shoal.client import new_job_id
from shoal.core.errors import SpecError
from shoal.core.spec import JobSpec, spec_from_dict

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_ .-]*)\}")


def plan_sweep(
    file: Path, template: str, job_id: str | None, options: dict[str, Any]
) -> list[JobSpec]:
    """The jobs of a sweep.

    Args:
        file: CSV with a header row.
        template: the command; `{column}` stands for the row's value, quoted for the shell, and
            `{{`, `}}` for braces.
        job_id: template of the ids; None makes them from a new name and the row's number.
        options: keys of the job JSON that all jobs share.

    Raises:
        SpecError: what is wrong, and in which line of the file.
    """
    _refuse_quoted(template)
    rows = _read_rows(file)
    name = None if job_id is not None else new_job_id("sweep")
    width = len(str(len(rows)))
    specs: dict[str, JobSpec] = {}
    for number, (line, row) in enumerate(rows, 1):
        row_id = f"{name}/{number:0{width}}" if job_id is None else _fill(job_id, row, quote=False)
        if row_id in specs:
            raise SpecError(
                f"{file} line {line}: two rows have the job id {row_id!r}",
                "use more columns in --id",
            )
        command = _fill(template, row, quote=True)
        specs[row_id] = spec_from_dict({**options, "job_id": row_id, "commands": [command]})
    return list(specs.values())


def _read_rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            if not columns or len(set(columns)) < len(columns):
                raise SpecError(f"{file} has no header of different names", "name each column once")
            rows = []
            for values in reader:
                if not values:
                    continue
                if len(values) != len(columns):
                    raise SpecError(
                        f"{file} line {reader.line_num} has {len(values)} values,"
                        f" but there are {len(columns)} columns",
                        "quote values that hold commas",
                    )
                rows.append((reader.line_num, dict(zip(columns, values, strict=True))))
    except (csv.Error, UnicodeDecodeError) as error:
        raise SpecError(f"{file} is not a CSV file ({error})", "save it as CSV in UTF-8") from None
    if not rows:
        raise SpecError(f"{file} has no rows below its header", "add one a job")
    return rows


def _refuse_quoted(template: str) -> None:
    """Values are quoted for the shell, which is of no use, and no safety, inside other quotes."""
    columns = {match.start(): match[0] for match in PLACEHOLDER.finditer(template) if match[1]}
    quote = ""
    escaped = False
    for at, char in enumerate(template):
        if at in columns and (quote or escaped):
            raise SpecError(
                f"{columns[at]} stands {'in quotes' if quote else 'behind a backslash'}"
                f" in the command {template!r}",
                "leave those out: the value is quoted for the shell already",
            )
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char


def _fill(template: str, row: dict[str, str], *, quote: bool) -> str:
    def value_of(match: re.Match[str]) -> str:
        column = match[1]
        if column is None:
            return match[0][0]
        if column not in row:
            guess = difflib.get_close_matches(column, row, n=1)
            hint = f"did you mean {{{guess[0]}}}? " if guess else ""
            raise SpecError(
                f"there is no column {column!r}; there are {', '.join(row)}",
                f"{hint}Write {{{{{column}}}}} for braces that are to stay",
            )
        return shlex.quote(row[column]) if quote else row[column]

    return PLACEHOLDER.sub(value_of, template)
