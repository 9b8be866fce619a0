"""The PowerShell script of an attempt, for `AWS-RunPowerShellScript`: Windows PowerShell 5.1.

A rendered script is data first (assignments of literals), then code that is the same for all jobs
and lives in `windows_code.py`.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from shoal.aws import windows_code as code
from shoal.aws.names import MARK
from shoal.core.spec import JobSpec

if TYPE_CHECKING:
    from shoal.aws.scripts import Place

_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")


def literal(text: str) -> str:
    """A single-quoted string that stands for exactly this text.

    PowerShell takes typographic quotes for plain ones; each is doubled to stand for itself.
    """
    return "'" + _QUOTES.sub(r"\g<0>\g<0>", text) + "'"


def expression(text: str) -> str:
    """A PowerShell expression whose value is this text.

    A literal where that is safe. Older agents write scripts without a byte order mark, which
    Windows PowerShell then reads in the machine's code page; and SSM replaces `{{ name }}`: text
    beyond printable ASCII, or with two opening braces, goes as base64.
    """
    if text.isascii() and text.isprintable() and "{{" not in text:
        return literal(text)
    encoded = base64.b64encode(text.encode(errors="surrogateescape")).decode()
    return f"(Read-Text {literal(encoded)})"


def render(spec: JobSpec, place: Place) -> str:
    """The script that runs one attempt of a job and exits as the job did.

    Its exit code is the job's own; 121 with a last line `shoal: ...` on stderr when it could not
    be started or staged, 122 when a required file is missing, 124 when it was ended for time.
    """
    stages = spec.folder is not None
    lays_over = stages and bool(re.match(r"[A-Za-z]:[\\/]", place.working_directory))
    parts = [code.FUNCTIONS, _data(spec, place), code.START]
    if stages:
        parts.append(code.STAGE_IN)
    parts.append(code.PREPARE_EXECUTABLE if spec.executable is not None else code.PREPARE_SCRIPT)
    if lays_over:
        parts.append(code.LAY_OVER)
    if stages:
        parts.append(code.WATCH_TIME)
    parts.append(code.RUN)
    if stages:
        parts.append(code.END_OF_TIME)
    if lays_over:
        parts.append(code.COLLECT)
    parts.append(code.CHECK_REQUIRED)
    if stages:
        parts.append(code.STAGE_OUT)
    parts.append(code.END)
    return "".join(parts)


def _data(spec: JobSpec, place: Place) -> str:
    """All that the code needs to know of the job."""
    texts = {"name": place.folder_name(spec.job_id), "overlay": place.working_directory}
    if spec.folder is not None:
        assert place.bucket is not None
        texts |= {"bucket": place.bucket, "prefix": f"{spec.folder}/"}
    if spec.executable is not None:
        texts["executable"] = spec.executable
    else:
        texts["script"] = "\r\n".join(spec.commands)
    variables = "; ".join(
        f"{expression(name)} = {expression(value)}"
        for name, value in _merged(place.variables(spec)).items()
    )
    required = ", ".join(expression(path) for path in spec.required_files)
    milliseconds = min(round(place.timeout_s * 1000), 2**31 - 1)
    return (
        "".join(f"${name} = {expression(text)}\n" for name, text in texts.items())
        + f"$metadata = @{{ {literal(MARK)} = {literal(place.folder_name(spec.job_id))} }}\n"
        + f"$variables = @{{ {variables} }}\n"
        + f"$required = @({required})\n"
        + f"$milliseconds = {milliseconds}\n"
    )


def _merged(variables: dict[str, str]) -> dict[str, str]:
    """Of names that differ in case only, the last: to Windows they are one."""
    last = {name.upper(): name for name in variables}
    return {name: variables[name] for name in last.values()}
