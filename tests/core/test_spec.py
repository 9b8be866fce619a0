"""JobSpec: the JSON that users write and programs read, and what is accepted in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core.errors import SpecError
from shoal.core.spec import (
    MAX_PRIORITY,
    JobSpec,
    parse_job,
    spec_from_dict,
    spec_json,
    stored_spec,
    validate,
)
from shoal.testing.strategies import AWKWARD_IDS, key_paths, specs

PAPER = (
    '{"job_id": "jobId_0", "retry": "3", "job_success_string": " ", '
    '"ssm_document": "AWS-RunShellScript", "commands": ["echo Hello World"]}'
)
BASE: dict[str, Any] = {"job_id": "a", "commands": ["true"]}
BAD_PATHS = (
    "",
    "/",
    "/etc/passwd",
    "..",
    "a/../b",
    "a/..",
    "./a",
    "a//b",
    "a/",
    ".shoal/x",
    "a\0b",
)


def parse(**fields: Any) -> JobSpec:
    """Parse a small job with these keys."""
    return parse_job(json.dumps({**BASE, **fields}))


# --- what is read and written -------------------------------------------------------------------


def test_the_papers_example_is_a_job() -> None:
    """The job of the paper is read with the meaning it has there, and written as it was."""
    spec = parse_job(PAPER)
    assert spec == JobSpec("jobId_0", 3, " ", "AWS-RunShellScript", ("echo Hello World",))
    assert not spec.wants_string
    assert json.loads(spec_json(spec)) == json.loads(PAPER)


@given(specs())
def test_a_spec_survives_its_json(spec: JobSpec) -> None:
    """Every valid spec is the same after writing and reading, by any of the ways in."""
    text = spec_json(spec)
    assert parse_job(text) == spec
    assert parse_job(text.encode()) == spec
    assert stored_spec(text) == spec
    assert spec_from_dict(json.loads(text)) == spec
    assert spec_json(parse_job(text)) == text
    assert validate(spec) is spec


def test_keys_with_their_default_are_not_written() -> None:
    """A job that uses nothing of Shoal's own is written with the original's five keys alone."""
    assert json.loads(spec_json(parse())) == {
        "job_id": "a",
        "retry": "0",
        "job_success_string": " ",
        "ssm_document": "AWS-RunShellScript",
        "commands": ["true"],
    }


@given(st.integers(0, 1000))
def test_retry_is_a_number_or_a_numeric_string(retry: int) -> None:
    """`3` and `"3"` mean the same."""
    assert parse(retry=retry).retry == parse(retry=str(retry)).retry == retry


@pytest.mark.parametrize(
    "retry", ["three", "", " ", "3 times", "1_0", "0x3", True, None, 3.5, [3], -1, "-1", 1001]
)
def test_retry_is_nothing_else(retry: object) -> None:
    """What is no number from 0 to 1000 is refused, with the key's name."""
    with pytest.raises(SpecError, match="retry"):
        parse(retry=retry)


@pytest.mark.parametrize("string", ["", " ", "\t", " \n "])
def test_a_blank_success_string_accepts_any_output(string: str) -> None:
    """A success string of nothing but white space asks for nothing."""
    assert not parse(job_success_string=string).wants_string
    assert parse(job_success_string=string + "ok").wants_string


# --- what is refused ----------------------------------------------------------------------------


@given(
    st.lists(
        st.text(st.characters(codec="ascii", categories=["L", "N", "Pc"]), min_size=1).filter(
            lambda key: key not in JobSpec.__struct_fields__
        ),
        min_size=1,
        max_size=9,
        unique=True,
    )
)
def test_all_unknown_keys_are_named(keys: list[str]) -> None:
    """A job with unknown keys is refused, and the error names each of them, and the job."""
    with pytest.raises(SpecError) as caught:
        parse(**dict.fromkeys(keys, 1))
    assert all(repr(key) in caught.value.what for key in keys)
    assert "job 'a'" in caught.value.what
    with pytest.raises(SpecError) as caught:
        spec_from_dict({**BASE, **dict.fromkeys(keys, 1)})
    assert all(repr(key) in caught.value.what for key in keys)


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("comands", "commands"),
        ("Job_id", "job_id"),
        ("retries", "retry"),
        ("job_succes_string", "job_success_string"),
        ("enviroment", "environment"),
        ("time_out", "timeout"),
    ],
)
def test_a_typo_gets_a_guess(typo: str, meant: str) -> None:
    """The error for a key that is nearly right says which one was probably meant."""
    with pytest.raises(SpecError, match=f"did you mean '{meant}' for '{typo}'"):
        parse(**{typo: "x"})


def test_a_key_like_no_other_gets_no_guess() -> None:
    """The error for a key like no other lists the keys there are, without a guess."""
    with pytest.raises(SpecError) as caught:
        parse(zzzzzz=1)
    assert "did you mean" not in str(caught.value)
    assert all(name in caught.value.remedy for name in JobSpec.__struct_fields__)


WRONG: dict[str, list[object]] = {
    "job_id": [1, None, ["a"], {}],
    "job_success_string": [1, None, True, []],
    "ssm_document": [1, None, []],
    "commands": ["true", 1, None, {}, [1], [None], [["true"]]],
    "timeout": ["soon", True, [], {}, 0, -1, 1e9, "nan", "inf", "-inf"],
    "environment": [[], "A=1", None, {"A": 1}, {"A": None}],
    "folder": [1, [], {}],
    "executable": [1, [], {}],
    "required_files": ["a", {}, [1], None],
    "priority": ["high", 1.5, None, True, MAX_PRIORITY + 1, -MAX_PRIORITY - 1],
    "tags": [[], None, {"a": 1}],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_refused(key: str, value: object) -> None:
    """A value of the wrong type or out of range is refused with the name of its key."""
    with pytest.raises(SpecError, match=key):
        parse(**{key: value})
    with pytest.raises(SpecError, match=key):
        spec_from_dict({**BASE, key: value})


def test_a_job_has_an_id_and_something_to_run() -> None:
    """A job without id, or with neither commands nor an executable, is refused."""
    with pytest.raises(SpecError, match="job_id"):
        parse_job('{"commands": ["true"]}')
    for text in ('{"job_id": "a"}', '{"job_id": "a", "commands": []}'):
        with pytest.raises(SpecError, match="neither commands nor an executable"):
            parse_job(text)


def test_an_executable_needs_its_folder() -> None:
    """An executable is a plain name in a job folder, instead of commands."""
    assert parse(commands=[], folder="f/g", executable="run.sh").executable == "run.sh"
    with pytest.raises(SpecError, match="no folder"):
        parse(commands=[], executable="run.sh")
    with pytest.raises(SpecError, match="not a plain name"):
        parse(commands=[], folder="f", executable="g/run.sh")
    with pytest.raises(SpecError, match="both commands and an executable"):
        parse(folder="f", executable="run.sh")


# --- ids, paths and text that mean harm ---------------------------------------------------------


@pytest.mark.parametrize("job_id", AWKWARD_IDS, ids=ascii)
def test_an_id_may_be_awkward(job_id: str) -> None:
    """An id may hold anything that can be shown, up to 1,024 bytes."""
    assert parse(job_id=job_id).job_id == job_id


@pytest.mark.parametrize("job_id", ["x" * 1025, "é" * 513, "x" * 4096, "🐟" * 1024])
def test_an_id_that_is_too_long_is_refused(job_id: str) -> None:
    """An id over the length of an object's key is refused with its size, and not repeated whole."""
    with pytest.raises(SpecError, match=f"{len(job_id.encode()):,} bytes") as caught:
        parse(job_id=job_id)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("code", [*range(32), *range(127, 160)])
def test_an_id_holds_no_control_characters(code: int) -> None:
    """An id with a character that no table can show is refused."""
    with pytest.raises(SpecError, match="control characters"):
        parse(job_id=f"a{chr(code)}b")


def test_an_id_is_not_empty() -> None:
    """Every job has a name of its own."""
    with pytest.raises(SpecError, match="empty"):
        parse(job_id="")


@pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
@pytest.mark.parametrize("key", ["folder", "executable", "required_files"])
def test_no_path_leads_out_of_its_folder(key: str, path: str) -> None:
    """A path that is absolute, empty, leads upward or into Shoal's own folder is refused."""
    fields: dict[str, Any] = {key: [path] if key == "required_files" else path}
    if key == "executable":
        fields |= {"commands": [], "folder": "f"}
    with pytest.raises(SpecError, match=key.replace("required_files", "required file")):
        parse(**fields)


@given(key_paths())
def test_paths_inside_a_folder_are_fine(path: str) -> None:
    """A path may hold any characters, as long as it stays inside."""
    spec = parse(folder=path, required_files=[path])
    assert (spec.folder, spec.required_files) == (path, (path,))


@pytest.mark.parametrize(
    "environment", [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "x\0"}], ids=ascii
)
def test_a_variable_that_can_not_be_set_is_refused(environment: dict[str, str]) -> None:
    """An environment that no process could be started with is refused at submission."""
    with pytest.raises(SpecError, match="environment variable"):
        parse(environment=environment)


def test_a_command_holds_no_nul() -> None:
    """A command that no shell could be given is refused at submission."""
    with pytest.raises(SpecError, match="NUL"):
        parse(commands=["true", "echo a\0b"])


@pytest.mark.parametrize("text", ["\udcff", "\ud800", "a\udc80"], ids=ascii)
@pytest.mark.parametrize(
    "key",
    ["job_id", "job_success_string", "ssm_document", "commands", "environment", "folder",
     "required_files", "tags", "unknown"],
)  # fmt: skip
def test_text_that_is_not_utf8_is_refused(key: str, text: str) -> None:
    """Text from Python that can't be written as UTF-8, as in file names, is refused by name."""
    value: object = text
    if key in ("commands", "required_files"):
        value = [text]
    elif key in ("environment", "tags"):
        value = {"A": text}
    with pytest.raises(SpecError):
        spec_from_dict({**BASE, key: value})
    with pytest.raises(SpecError):
        spec_from_dict({**BASE, text: "x"})
