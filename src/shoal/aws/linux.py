"""The shell script of an attempt, for `AWS-RunShellScript`: POSIX sh, run by SSM's agent as root.

A rendered script is data first (assignments of quoted text), then code that is the same for all
jobs and lives in `linux_code.py`.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from shoal.aws import linux_code as code
from shoal.aws.names import MARK
from shoal.core.spec import JobSpec

if TYPE_CHECKING:
    from shoal.aws.scripts import Place

_OPENING = re.compile(r"\{(?=\{)")


def quote(text: str) -> str:
    """A shell word that stands for exactly this text.

    No two opening braces stay side by side: SSM replaces `{{ name }}` before the shell reads it.
    Braces are always inside single quotes, so closing and reopening those keeps them apart.
    """
    return _OPENING.sub("{''", shlex.quote(text))


def render(spec: JobSpec, place: Place) -> str:
    """The script that runs one attempt of a job and exits as the job did.

    Its exit code is the job's own; 121 with a last line `shoal: ...` on stderr when it could not
    be started or staged, 122 when a required file is missing, 124 when it was ended for time.
    """
    stages = spec.folder is not None
    lays_over = stages and place.working_directory.rstrip("/").startswith("/")
    parts = [code.HEAD, *_data(spec, place, lays_over), code.FUNCTIONS, code.START]
    if stages:
        parts.append(code.STAGE_IN)
    if spec.executable is not None:
        parts.append(code.CHECK_EXECUTABLE)
    if stages:
        parts.append(code.REMEMBER_FILES)
    if lays_over:
        parts.append(code.LAY_OVER)
    parts.append(_run(spec))
    if stages:
        parts.append(code.END_OF_TIME)
    if spec.executable is not None or _has_shebang(spec):
        parts.append(code.EXPLAIN_START)
    if lays_over:
        parts.append(code.COLLECT)
    if spec.required_files:
        parts.append(_check_required(spec))
    if stages:
        parts.append(code.STAGE_OUT)
    parts.append(code.END)
    return "".join(parts)


def _data(spec: JobSpec, place: Place, lays_over: bool) -> list[str]:
    """All that the code needs to know of the job, as assignments; a function sets its variables."""
    texts = {"name": place.folder_name(spec.job_id)}
    if spec.folder is not None:
        texts["metadata"] = f"{MARK}={place.folder_name(spec.job_id)}"
        texts["prefix"] = f"{place.bucket}/{spec.folder}/"
        texts["timeout"] = f"{place.timeout_s:.3f}".rstrip("0").rstrip(".")
    if lays_over:
        texts["place"] = place.working_directory
    if spec.executable is not None:
        texts["executable"] = spec.executable
    words = [quote(f"{name}={value}") for name, value in place.variables(spec).items()]
    return [
        *(f"{name}={quote(text)}\n" for name, text in texts.items()),
        f'run() {{ env -- {" ".join(words)} {code.OWN_VARIABLES} "$@"; }}\n',
    ]


def _run(spec: JobSpec) -> str:
    if spec.executable is not None:
        start = 'program=$work/$executable\nset -- "$program"\n'
    else:
        start = f"program=$own/script\nprintf '%s\\n' {quote(_script(spec))} >\"$program\"\n"
        if _has_shebang(spec):
            start += 'chmod +x -- "$program"\nset -- "$program"\n'
        else:
            start += 'set -- /bin/sh "$program"\n'
    watch = code.WATCH_TIME if spec.folder is not None else ""
    return start + watch + code.RUN


def _script(spec: JobSpec) -> str:
    return "\n".join(spec.commands)


def _has_shebang(spec: JobSpec) -> bool:
    return _script(spec).startswith("#!")


def _check_required(spec: JobSpec) -> str:
    paths = " ".join(quote(path) for path in spec.required_files)
    return f"set -- {paths}\n{code.CHECK_REQUIRED}"
