"""JobSpec: what the user asked for. Parse, validate, serialise; the only place that knows the JSON.

The first five keys are those of the decoupled serverless scheduler, with their meaning unchanged;
the others are Shoal's, each with a default, and left out of the JSON while they have it.
"""

from __future__ import annotations

import difflib
import json
from typing import Any

import msgspec

from shoal.core.errors import SpecError

SHELL_DOCUMENT = "AWS-RunShellScript"
POWERSHELL_DOCUMENT = "AWS-RunPowerShellScript"
SCRIPT_DOCUMENTS = (SHELL_DOCUMENT, POWERSHELL_DOCUMENT)
"""What runs commands or an executable; any other SSM document is run with its parameters."""

MAX_JOB_ID_BYTES = 1024
"""S3 object keys end at 1,024 bytes, and the key of the executable is the job id."""

MAX_PRIORITY = 1_000_000


class JobSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One job as asked for; immutable. Build it with `parse_job`, or check it with `validate`.

    Args:
        job_id: names the job; 1 to 1,024 bytes, no control characters.
        retry: how many times to run again after a failed attempt.
        job_success_string: text that must be in the output; blank accepts any output.
        ssm_document: which interpreter runs the commands; on AWS any SSM document.
        commands: lines of one script.
        timeout: seconds an attempt may run; None takes the environment's setting.
        environment: variables added to the attempt's environment.
        folder: the job folder as a key prefix in the bucket; None runs in an empty work folder.
        executable: name of the file in `folder` to run instead of `commands`.
        required_files: paths, relative to the work folder, that must be there after the run.
        priority: higher is taken first.
        tags: free key-value pairs for the user's own bookkeeping.
        parameters: of an SSM document that is no script, each a list of texts.
        batch: id shared by the jobs of one submission; blank for a job that came alone.
        stop_on_success: when this job is Successful, the rest of its batch is cancelled.
    """

    job_id: str
    retry: int = 0
    job_success_string: str = " "
    ssm_document: str = SHELL_DOCUMENT
    commands: tuple[str, ...] = ()
    timeout: float | None = None
    environment: dict[str, str] = {}
    folder: str | None = None
    executable: str | None = None
    required_files: tuple[str, ...] = ()
    priority: int = 0
    tags: dict[str, str] = {}
    parameters: dict[str, tuple[str, ...]] = {}
    batch: str = ""
    stop_on_success: bool = False

    @property
    def wants_string(self) -> bool:
        """Whether the output must hold a success string."""
        return bool(self.job_success_string.strip())


class _Wire(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The JSON as written: the original's five keys always, in its types, the others when set."""

    job_id: str
    retry: str
    job_success_string: str
    ssm_document: str
    commands: tuple[str, ...]
    timeout: float | None = None
    environment: dict[str, str] = {}
    folder: str | None = None
    executable: str | None = None
    required_files: tuple[str, ...] = ()
    priority: int = 0
    tags: dict[str, str] = {}
    parameters: dict[str, tuple[str, ...]] = {}
    batch: str = ""
    stop_on_success: bool = False


# Lax decoding takes "3" for 3: the original writes `retry` as a string.
_decoder = msgspec.json.Decoder(JobSpec, strict=False)
_encoder = msgspec.json.Encoder()


def parse_job(text: str | bytes, batch: str = "") -> JobSpec:
    """Read one job from its JSON.

    Args:
        text: a JSON object, as UTF-8 bytes or text.
        batch: its batch, when it names none.

    Returns:
        A spec that has passed `validate`.

    Raises:
        SpecError: not JSON, unknown keys (all are named), wrong types or values.
    """
    try:
        spec = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _explain(text, error) from None
    if batch and not spec.batch:
        spec = msgspec.structs.replace(spec, batch=batch)
    return _check_values(spec)


def spec_from_dict(fields: dict[str, Any]) -> JobSpec:
    """Like `parse_job`, for a job given as a Python dict with the same keys."""
    try:
        return validate(msgspec.convert(fields, JobSpec, strict=False))
    except (msgspec.ValidationError, UnicodeError, RecursionError) as error:
        _refuse_unknown_keys(fields)
        raise SpecError(f"the job is not usable: {_in_words(error)}", _KEYS_HELP) from None


def stored_spec(text: str) -> JobSpec:
    """Read back what `spec_json` wrote; it was validated before, so it is not validated again."""
    return _decoder.decode(text)


def spec_json(spec: JobSpec) -> str:
    """Write the job's own JSON: the original's five keys, then Shoal's where not the default."""
    wire = _Wire(
        spec.job_id,
        str(spec.retry),
        spec.job_success_string,
        spec.ssm_document,
        spec.commands,
        spec.timeout,
        spec.environment,
        spec.folder,
        spec.executable,
        spec.required_files,
        spec.priority,
        spec.tags,
        spec.parameters,
        spec.batch,
        spec.stop_on_success,
    )
    return _encoder.encode(wire).decode()


def refused_json(key: str) -> str:
    """What the failed queue carries for an object that could not become a job."""
    return _encoder.encode({"refused": storable(key)}).decode()


def storable(key: str) -> str:
    """A key as text that can be stored: bytes of a file's name that are no UTF-8 become escapes."""
    return key.encode(errors="backslashreplace").decode()


def validate(spec: JobSpec) -> JobSpec:
    """Check what the types alone can't say.

    Raises:
        SpecError: names the key, what is wrong with it, and what would be right.
    """
    _check_values(spec)
    try:
        _encoder.encode(spec)
    except UnicodeEncodeError as error:
        raise _bad(spec, f"{_short(error.object)} is not valid UTF-8", "use valid text") from None
    return spec


def _check_values(spec: JobSpec) -> JobSpec:
    check_job_id(spec.job_id)
    if spec.batch:
        check_batch(spec.batch)
    elif spec.stop_on_success:
        raise _bad(spec, "stop_on_success is for the rest of a batch", "give it a batch")
    if not 0 <= spec.retry <= 1_000:
        raise _bad(spec, f"retry is {spec.retry}", "use a number from 0 to 1000")
    if abs(spec.priority) > MAX_PRIORITY:
        raise _bad(
            spec, f"priority is {spec.priority}", f"stay within ±{MAX_PRIORITY:,} (higher is first)"
        )
    if spec.timeout is not None and not 0 < spec.timeout < 1e9:
        raise _bad(spec, f"timeout is {spec.timeout}", "give seconds above 0, or leave it out")
    if spec.ssm_document in SCRIPT_DOCUMENTS:
        _check_script(spec)
    elif spec.executable is not None:
        raise _bad(
            spec,
            f"document {_short(spec.ssm_document)} runs no executable",
            f"use {SHELL_DOCUMENT} or {POWERSHELL_DOCUMENT}, or give parameters instead",
        )
    if "\0" in "".join(spec.commands):
        raise _bad(spec, "a command holds a NUL character", "remove it")
    if spec.folder is not None or spec.executable is not None or spec.required_files:
        _check_paths(spec)
    if spec.environment:
        _check_environment(spec)
    return spec


def _check_script(spec: JobSpec) -> None:
    if spec.parameters:
        raise _bad(
            spec,
            f"parameters are not for {spec.ssm_document}",
            "use commands, timeout and environment",
        )
    if not spec.commands and spec.executable is None:
        raise _bad(spec, "it has neither commands nor an executable", "add a list of commands")


def check_job_id(job_id: str) -> str:
    """Return the job id if it can name a job.

    Raises:
        SpecError: empty, over 1,024 bytes of UTF-8, or with characters no table or log can show.
    """
    if not job_id:
        raise SpecError("the job_id is empty", "give every job a name of its own")
    return _check_name("job_id", job_id)


def check_batch(batch: str) -> str:
    """Return the id of a batch if it can be one: the same as for the id of a job.

    Raises:
        SpecError: it can't.
    """
    if not batch:
        raise SpecError("the batch is empty", "give it a name, or leave it out")
    return _check_name("batch", batch)


def _check_name(what: str, name: str) -> str:
    if name.isascii() and name.isprintable() and len(name) <= MAX_JOB_ID_BYTES:
        return name
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError:
        raise SpecError(
            f"{what} {_short(name)} is not valid UTF-8", "rename it to valid text"
        ) from None
    if size_bytes > MAX_JOB_ID_BYTES:
        raise SpecError(
            f"{what} {_short(name)} is {size_bytes:,} bytes long",
            f"shorten it to at most {MAX_JOB_ID_BYTES:,} bytes (the limit of an S3 key)",
        )
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name):
        raise SpecError(
            f"{what} {_short(name)} holds control characters",
            "rename it without newlines, tabs and other control characters",
        )
    return name


def check_key_path(path: str) -> str | None:
    """Say what keeps `path` from being a path inside a folder, or None when it is one."""
    if not path:
        return "is empty"
    if path.startswith("/"):
        return "is absolute"
    if "\0" in path:
        return "holds a NUL character"
    if len(path.encode(errors="surrogatepass")) > MAX_JOB_ID_BYTES:
        return f"is over {MAX_JOB_ID_BYTES:,} bytes long"
    parts = path.split("/")
    if ".." in parts or "." in parts or "" in parts:
        return "has an empty, '.' or '..' part"
    if parts[0] == ".shoal":
        return "is Shoal's own folder"
    return None


def _check_paths(spec: JobSpec) -> None:
    for name, path in (("folder", spec.folder), ("executable", spec.executable)):
        if path is not None and (problem := check_key_path(path)):
            raise _bad(spec, f"{name} {_short(path)} {problem}", "use a path inside the bucket")
    if spec.executable is not None:
        if spec.folder is None:
            raise _bad(spec, "it has an executable but no folder", "add the job folder's key")
        if "/" in spec.executable:
            raise _bad(spec, "the executable is not a plain name", "name a file in the job folder")
        if spec.commands:
            raise _bad(spec, "it has both commands and an executable", "keep one of them")
    for path in spec.required_files:
        if problem := check_key_path(path):
            raise _bad(
                spec, f"required file {_short(path)} {problem}", "use paths inside the job folder"
            )


def _check_environment(spec: JobSpec) -> None:
    for name, value in spec.environment.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise _bad(
                spec,
                f"environment variable {_short(name)} can't be set",
                "use names without '=' and no NUL characters",
            )


_KEYS_HELP = "the keys of a job and their types are in docs/reference/job.md"


def _explain(text: str | bytes, error: Exception) -> SpecError:
    if isinstance(error, msgspec.ValidationError):
        try:
            _refuse_unknown_keys(json.loads(text))
        except (ValueError, RecursionError):
            pass  # there is more wrong further on: say what was wrong first
        what = f"the job is not usable: {_in_words(error)}"
        return SpecError(what, _KEYS_HELP)
    if isinstance(error, RecursionError):
        return SpecError("the job's JSON is nested too deeply", "a job is one flat JSON object")
    what = f"the job is not valid JSON ({_in_words(error)})"
    return SpecError(what, "write one JSON object a job, e.g. with json.dumps")


def _refuse_unknown_keys(fields: object) -> None:
    known = JobSpec.__struct_fields__
    if not isinstance(fields, dict):
        return
    unknown = [str(key) for key in fields if key not in known]
    if not unknown:
        return
    guesses = [
        f"{guess[0]!r} for {_short(key)}"
        for key in unknown[:10]
        if (guess := difflib.get_close_matches(key[:100], known, n=1))
    ]
    did_you_mean = f"did you mean {', '.join(guesses)}? " if guesses else ""
    names = ", ".join(_short(key) for key in unknown[:10]) + (" and more" * (len(unknown) > 10))
    of = f" in job {_short(str(fields['job_id']))}" if "job_id" in fields else ""
    raise SpecError(
        f"unknown {'key' if len(unknown) == 1 else 'keys'}{of}: {names}",
        f"{did_you_mean}A job may have {', '.join(known)}",
    )


def _bad(spec: JobSpec, what: str, remedy: str) -> SpecError:
    return SpecError(f"job {_short(spec.job_id)}: {what}", remedy)


def _short(text: str) -> str:
    """Quote user text for a message: escaped, and cut when it is long."""
    return ascii(text) if len(text) <= 80 else f"{text[:77]!a}..."


def _in_words(error: Exception) -> str:
    """An error of the decoder as part of a sentence; it may quote what the user wrote."""
    text = str(error) if str(error).isprintable() else ascii(str(error))[1:-1]
    return _lower_first(text if len(text) <= 200 else f"{text[:197]}...")


def _lower_first(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
