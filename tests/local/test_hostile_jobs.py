"""Job ids, job files and arguments from a user who means no good, or is very tired."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.job import Status
from shoal.core.spec import JobSpec

from .place import Place
from .verbs import Said, run_verb

GOOD_IDS = (
    "../../etc/passwd",
    "..",
    "/",
    "/abs/olute",
    "-rf",
    "--help",
    " ",
    "a b",
    "'\"`$(touch gone)`\"'; touch gone #",
    "*",
    "[a-z]?",
    "a*b",
    "[red]bold[/red]",
    "%s%n{0}{job}",
    "ünï-日本-🐟",
    "\u202egnp.exe",
    "\\n\\x1b",
    ".shoal/shoal.db",
    "x" * 1024,
    "é" * 512,
    "NULL",
    "0",
)
BAD_IDS = ("", "a\nb", "a\tb", "\x1b[2J", "a\0b", "\x7f", "\x85", "x" * 1025, "é" * 513, "x" * 4096)


def submit_lines(place: Place, *lines: bytes) -> Said:
    """Submit a file of jobs."""
    file = place.root.parent / "jobs.jsonl"
    file.write_bytes(b"\n".join(lines) + b"\n")
    return run_verb(place, "submit", "--file", str(file))


def test_odd_ids_are_ids(place: Place) -> None:
    """Any printable id of up to 1,024 bytes names its job in every verb, whatever it looks like."""
    for job_id in GOOD_IDS:
        place.submit({"job_id": job_id, "commands": ['printf %s "$SHOAL_JOB_ID"']})
    place.work()
    assert place.statuses() == dict.fromkeys(GOOD_IDS, Status.SUCCESSFUL)
    for job_id in GOOD_IDS:
        assert place.output(job_id) == job_id
        assert run_verb(place, "logs", "--", job_id).out == job_id
        shown = json.loads(run_verb(place, "status", "--json", "--", job_id).out)
        assert (shown["job_id"], len(shown["attempts"])) == (job_id, 1)
        # Over already, which is an error for an id but not for what might be a pattern.
        cancelled = run_verb(place, "cancel", "--", job_id)
        assert cancelled.code == (0 if set(job_id) & set("*?[") else 2)
        assert run_verb(place, "wait", "--timeout", "9", "--", job_id).code == 0
    assert not list(place.root.parent.rglob("gone"))


@pytest.mark.parametrize("job_id", BAD_IDS, ids=lambda job_id: ascii(job_id)[:20])
def test_ids_that_can_name_nothing_are_refused(place: Place, job_id: str) -> None:
    """An id that no table can show or no key can hold is refused with the remedy."""
    job = json.dumps({"job_id": job_id, "commands": ["echo"]}).encode()
    said = submit_lines(place, b'{"job_id": "good", "commands": ["echo"]}', job)
    assert said.code == 2
    assert "line 2" in said.err
    assert "No job was submitted" in said.err
    assert len(said.err) < 1000
    assert said.err.rstrip("\n").isprintable()
    assert place.statuses() == {}


BAD_LINES: dict[str, bytes] = {
    "deep-list": b"[" * 100_000,
    "deep-object": b'{"job_id":' * 50_000,
    "deep-value": b'{"job_id": "a", "commands": ["x"], "tags": ' + b'{"a":' * 5000 + b"}" * 5001,
    "huge-unknown": b'{"job_id": "a", "' + b"x" * 5_000_000 + b'": 1}',
    "many-unknown": json.dumps({f"key-{n}": n for n in range(10_000)}).encode(),
    "huge-number": b'{"job_id": "a", "commands": ["x"], "priority": ' + b"9" * 10_000 + b"}",
    "not-utf8": b'{"job_id": "a\xff", "commands": ["x"]}',
    "utf16": '{"job_id": "a", "commands": ["x"]}'.encode("utf-16"),
    "lone-surrogate": b'{"job_id": "a\\ud800", "commands": ["x"]}',
    "surrogate-command": b'{"job_id": "a", "commands": ["\\udcff"]}',
    "control": b'{"job_id": "a", "commands": ["\x01"]}',
    "truncated": b'{"job_id": "a", "commands": ["x"',
    "two": b'{"job_id": "a", "commands": ["x"]} {"job_id": "b", "commands": ["x"]}',
    "list": b'[{"job_id": "a", "commands": ["x"]}]',
    "string": b'"job"',
    "number": b"1",
    "null": b"null",
    "nan": b'{"job_id": "a", "commands": ["x"], "timeout": NaN}',
    "empty-object": b"{}",
    "no-commands": b'{"job_id": "a"}',
    "no-id": b'{"commands": ["x"]}',
    "shell": b"echo hello",
}
BAD_VALUES: tuple[tuple[str, Any], ...] = (
    ("job_id", 7),
    ("job_id", None),
    ("job_id", ["a"]),
    ("commands", "echo"),
    ("commands", []),
    ("commands", [1]),
    ("commands", [["echo"]]),
    ("commands", {"0": "echo"}),
    ("commands", None),
    ("commands", ["a\0b"]),
    ("retry", -1),
    ("retry", "-1"),
    ("retry", "three"),
    ("retry", 1.5),
    ("retry", 1001),
    ("retry", 10**30),
    ("retry", []),
    ("job_success_string", 5),
    ("ssm_document", {}),
    ("timeout", 0),
    ("timeout", -3),
    ("timeout", "soon"),
    ("timeout", 1e300),
    ("environment", ["A=1"]),
    ("environment", {"A": 1}),
    ("environment", {"A=B": "1"}),
    ("environment", {"": "1"}),
    ("environment", {"A": "a\0b"}),
    ("folder", ".."),
    ("folder", "../up"),
    ("folder", "a/../../up"),
    ("folder", "/etc"),
    ("folder", "a//b"),
    ("folder", "./a"),
    ("folder", ""),
    ("folder", ".shoal"),
    ("folder", ".shoal/work"),
    ("folder", "a\0"),
    ("folder", "x/" * 600),
    ("executable", "run.sh"),
    ("required_files", "out"),
    ("required_files", ["/etc/passwd"]),
    ("required_files", ["a/../../b"]),
    ("required_files", [""]),
    ("priority", 10**7),
    ("priority", "high"),
    ("tags", {"a": {}}),
    ("tags", "a"),
    ("Retry", "3"),
    ("comand", ["x"]),
)
BAD_LINES |= {
    f"{number}-{name}": json.dumps({"job_id": "a", "commands": ["x"], name: value}).encode()
    for number, (name, value) in enumerate(BAD_VALUES)
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_one_bad_line_and_nothing_is_submitted(place: Place, name: str) -> None:
    """An error in line 3 names the line and a remedy, and the lines around it are not submitted."""
    good = [json.dumps({"job_id": f"good-{n}", "commands": ["echo"]}).encode() for n in range(5)]
    said = submit_lines(place, *good[:2], BAD_LINES[name], *good[2:])
    assert said.code == 2, said
    assert "line 3" in said.err
    assert "No job was submitted" in said.err
    assert len(said.err) < 3000
    assert place.statuses() == {}


def test_a_bad_line_on_standard_input_submits_nothing(place: Place) -> None:
    """Also what comes through a pipe is read to its end before the first job is accepted."""
    good = '{"job_id": "good", "commands": ["echo"]}\n'
    done = place.shoal("submit", "--file", "-", stdin=good * 2 + "{oops}\n" + good)
    assert done.returncode == 2
    assert "line 3" in done.stderr
    assert place.statuses() == {}


def test_blank_lines_and_odd_line_ends_are_no_error(place: Place) -> None:
    """Blank lines, DOS line ends and a missing last line end make no difference."""
    a, b = (b'{"job_id": "%s", "commands": ["echo"]}' % name for name in (b"a", b"b"))
    said = submit_lines(place, b"", a + b"\r", b" \t\r", b)
    assert said.code == 0, said
    assert place.statuses().keys() == {"a", "b"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
keys = st.sampled_from(JobSpec.__struct_fields__)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One place for many examples."""
    return Place(tmp_path_factory.mktemp("hostile") / "jobs")


@settings(max_examples=80, deadline=None)
@given(fields=st.dictionaries(keys | st.text(max_size=5), json_values, max_size=5))
def test_any_json_is_taken_or_refused(lasting: Place, fields: dict[str, Any]) -> None:
    """Whatever the types in a job's JSON: it is accepted, or refused in words with exit code 2."""
    job = {"job_id": "a", "commands": ["echo"], **fields}
    said = submit_lines(lasting, json.dumps(job).encode())
    assert said.code in (0, 2)
    assert bool(said.code) == ("No job was submitted" in said.err)


BYTES = b"bad-\xff"


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", "--command", b"echo " + BYTES),
        ("submit", "--command", "echo", "--id", BYTES),
        ("submit", "--command", "echo", "--set", b"X=" + BYTES),
        ("submit", "--command", "echo", "--tag", b"x=" + BYTES),
        ("submit", "--command", "echo", "--require", BYTES),
        ("submit", "--command", "echo", "--success-string", BYTES),
        ("submit", "--sweep", "no-such.csv", "--command", BYTES),
        ("submit", BYTES),
        ("status", BYTES),
        ("logs", BYTES),
        ("cancel", BYTES),
        ("retry", BYTES + b"*"),
        ("fetch", BYTES, "elsewhere"),
        ("wait", BYTES),
    ],
    ids=ascii,
)
def test_arguments_that_are_no_text_are_refused(
    place: Place, arguments: tuple[str | bytes, ...]
) -> None:
    """An argument that is not valid UTF-8 ends in an error of ours, not in one of Python's."""
    place.submit({"job_id": "there", "commands": ["echo"]})
    done = place.shoal(*arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert place.statuses().keys() == {"there"}


def test_an_environment_whose_name_is_no_text_works(tmp_path: Path) -> None:
    """A folder with a name that is not valid UTF-8 can be an environment."""
    place = Place(Path(os.fsdecode(bytes(tmp_path) + b"/jobs-\xff")))
    place.put("job/run.sh", "echo > out")
    place.up()
    assert place.statuses() == {"job/run.sh": Status.SUCCESSFUL}
    for verb in (["status", "job/run.sh"], ["status", "--json", "job/run.sh"], ["config"]):
        done = place.shoal(*verb)
        assert done.returncode == 0, done.stderr
    assert json.loads(place.shoal("config", "--json").stdout)["environment"] == str(place.root)
    assert place.shoal("doctor").returncode == 0
