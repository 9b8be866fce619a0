"""Reading jobs from JSON that is broken, huge or means harm: a clear error, never anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shoal.core.errors import SpecError
from shoal.core.spec import JobSpec, parse_job, spec_from_dict, spec_json
from shoal.testing.strategies import specs, text

DEPTH = 100_000
LONGEST = 3_000

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(text(8), inner, max_size=3)
    ),
    max_leaves=6,
)
keys = st.one_of(st.sampled_from(JobSpec.__struct_fields__), text(12))


def refusal(text: str | bytes) -> SpecError:
    """The error that this is refused with."""
    with pytest.raises(SpecError) as caught:
        parse_job(text)
    return caught.value


def accept_or_refuse(text: str | bytes) -> None:
    """Parse; an error must be one that a terminal can show, and not too long to read."""
    try:
        spec = parse_job(text)
    except SpecError as error:
        assert str(error).isprintable()
        assert len(str(error)) < LONGEST
    else:
        assert parse_job(spec_json(spec)) == spec


@given(st.one_of(values, st.dictionaries(keys, values, max_size=6)))
def test_any_json_is_a_job_or_a_named_error(document: Any) -> None:
    """Whatever a document holds, it is read as a job or refused with a SpecError."""
    accept_or_refuse(json.dumps(document))


@given(st.dictionaries(st.one_of(keys, st.text(max_size=3)), st.one_of(values, st.text())))
def test_any_dict_is_a_job_or_a_named_error(fields: dict[str, Any]) -> None:
    """Whatever a dict holds, also text that is not UTF-8, it is a job or a SpecError."""
    try:
        spec = spec_from_dict(fields)
    except SpecError as error:
        assert str(error).isprintable()
        assert len(str(error)) < LONGEST
    else:
        assert parse_job(spec_json(spec)) == spec


@given(st.one_of(st.binary(), st.text()))
@example(b"\xff\xfe{}")
@example(b'{"job_id": "\xff", "commands": ["true"]}')
@example('{"job_id": "\ud800", "commands": ["true"]}')
@example('\ufeff{"job_id": "a", "commands": ["true"]}')
@example('{"job_id": "a", "commands": ["true"]} {}')
@example('{"job_id": "a", "commands": ["\\ud800"]}')
@example("null")
@example("")
def test_what_is_no_json_is_refused(data: bytes | str) -> None:
    """Bytes and text that are no JSON object are refused with a SpecError."""
    refusal(data)


@given(specs(), st.data())
def test_a_message_cut_short_is_refused(spec: JobSpec, data: st.DataObject) -> None:
    """A job whose JSON ends early is refused, wherever that is."""
    message = spec_json(spec).encode()
    refusal(message[: data.draw(st.integers(0, len(message) - 1))])


@pytest.mark.parametrize(
    "start",
    [
        "",
        '{"job_id": ',
        '{"commands": ',
        '{"tags": ',
        '{"unknown": ',
        '{"job_id": 1, "commands": ["true"], "tags": ',
        '{"unknown": 1, "commands": ["true"], "tags": ',
    ],
)
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ("[", "")])
def test_deep_json_is_refused(start: str, opening: str, closing: str) -> None:
    """JSON nested 100,000 deep is refused, and exhausts no stack."""
    end = "}" if start else ""
    error = refusal(start + opening * DEPTH + "1" + closing * DEPTH + end)
    assert len(str(error)) < LONGEST


@pytest.mark.parametrize(
    "message",
    [
        '{"job_id": "%s", "commands": ["true"]}',
        '{"job_id": "a", "%s": 1}',
        '{"job_id": "a", "commands": ["true"], "folder": "%s"}',
        '{"job_id": "a", "commands": ["true"], "folder": "%s/.."}',
        '{"job_id": "a", "commands": ["true"], "required_files": ["%s"]}',
        '{"job_id": "a", "commands": ["true"], "environment": {"%s=": "x"}}',
        '{"%s": "a", ',
        '{"job_id": 1, "%s": ',
    ],
)
@pytest.mark.parametrize("filling", ["x", "é", "\\u001b", "\\n"])
def test_a_huge_message_gets_a_short_error(message: str, filling: str) -> None:
    """The error for a megabyte of nonsense does not repeat it, and is safe to print."""
    error = refusal(message % (filling * 200_000))
    assert len(str(error)) < LONGEST
    assert str(error).isprintable()


@pytest.mark.parametrize("number", ["9" * 5000, "-" + "9" * 5000, "1e999", "0." + "1" * 5000])
@pytest.mark.parametrize("key", ["retry", "priority", "timeout", "job_id", "unknown"])
def test_a_huge_number_is_read_or_refused(key: str, number: str) -> None:
    """A number of thousands of digits is no way to break the reader."""
    accept_or_refuse(f'{{"job_id": "a", "commands": ["true"], "{key}": {number}}}')
    accept_or_refuse(f'{{"{key}": {number}, "unknown": 1, "job_id": "a", "commands": ["true"]}}')


def test_many_unknown_keys_are_not_all_repeated() -> None:
    """Of thousands of unknown keys the error names ten, and says that there are more."""
    error = refusal(json.dumps({f"key{number}": 1 for number in range(5000)}))
    assert "'key9' and more" in error.what
    assert len(str(error)) < LONGEST


def test_a_large_job_is_a_job() -> None:
    """Size alone is no reason to refuse: 100,000 commands are read and written."""
    commands = tuple(f"echo {number}" for number in range(100_000))
    spec = spec_from_dict({"job_id": "a", "commands": commands})
    assert parse_job(spec_json(spec)).commands == commands


@given(values)
def test_errors_are_safe_to_print(value: Any) -> None:
    """No error brings a control sequence from a job to somebody's terminal."""
    for key in JobSpec.__struct_fields__:
        accept_or_refuse(json.dumps({"job_id": "a", "commands": ["true"], key: value}))
