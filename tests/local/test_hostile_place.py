"""What a place must withstand: text that plays with terminals, second supervisors, bad settings."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from shoal.core.job import Status

from .place import DEADLINE_S, Place, wait_until
from .verbs import run_verb

EVIL = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31m [red]markup[/red] [link=file:///etc]x[/] :skull: \u202e \x9b1m"
)
EVIL_ID = "[red]id[/red] [/] :skull: \u202e {x} %s"


@pytest.fixture
def evil(place: Place) -> Place:
    """A place with jobs whose ids, reasons, tags and refusals play with terminals."""
    place.put("job/data", "x")
    (place.root / f"job/{EVIL.replace('/', '')}").symlink_to("/etc/passwd")
    place.put("job/run.sh", "echo")
    place.put(f"top{EVIL.replace('/', '')}.sh", "echo")
    place.submit(
        {"job_id": EVIL_ID, "commands": [f"printf %s '{EVIL}'; exit 1"], "tags": {EVIL: EVIL}},
        {"job_id": "string", "commands": ["echo"], "job_success_string": EVIL},
        {"job_id": "file", "commands": ["echo"], "required_files": [EVIL.replace("/", "")]},
        {"job_id": "document", "commands": ["echo"], "ssm_document": EVIL},
    )
    place.up()
    place.submit({"job_id": f"{EVIL_ID} waits", "commands": ["echo"]})
    return place


VERBS = (
    ("status",),
    ("status", "--", EVIL_ID),
    ("status", "string"),
    ("status", "file"),
    ("status", "document"),
    ("status", "job/run.sh"),
    ("events",),
    ("workers",),
    ("cancel", "--", EVIL_ID),
    ("cancel", "*waits"),
    ("retry", "document"),
    ("doctor",),
)


def test_text_of_jobs_does_nothing_to_a_terminal(evil: Place) -> None:
    """No verb prints a control character of a job's, and none takes its text for markup."""
    everything = ""
    for verb in VERBS:
        said = run_verb(evil, *verb)
        for line in (said.out + said.err).splitlines():
            assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in line), line
        everything += said.out
    assert "[red]id[/red] [/] :skull:" in everything
    assert "[red]markup[/red]" in everything
    assert "\u202e" not in run_verb(evil, "status").out


def test_text_of_jobs_does_nothing_where_there_are_colours(evil: Place) -> None:
    """On a terminal the only escapes are the colours of our own."""
    command = [sys.executable, "-P", "-m", "shoal.cli.main", "status", "-e", str(evil.root)]
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
    variables.pop("NO_COLOR", None)
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=variables) as process:
        os.close(theirs)
        said = b""
        try:
            while piece := os.read(ours, 65_536):
                said += piece
        except OSError:
            pass  # how a terminal says that nobody is left at its other end
        process.wait(DEADLINE_S)
    os.close(ours)
    text = said.decode()
    assert "\x1b[" in text
    assert "\x1b]" not in text
    assert "\x07" not in text
    assert "\x9b" not in text
    assert "[red]id[/red]" in text


def test_programs_get_the_text_as_it_is(evil: Place) -> None:
    """`--json` keeps ids and refused keys whole, with control characters escaped."""
    listed = run_verb(evil, "status", "--json")
    assert not any(ord(char) < 32 for char in listed.out.rstrip("\n"))
    ids = {job["job_id"] for job in json.loads(listed.out)["jobs"]}
    assert {EVIL_ID, "string", "file", "document"} <= ids
    events = [json.loads(line) for line in run_verb(evil, "events", "--json").out.splitlines()]
    assert f"top{EVIL.replace('/', '')}.sh" in [line["job"].get("refused") for line in events]


def everything_in(folder: Path, but: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that is in a folder, but for one folder in it."""
    found = {}
    for path in folder.rglob("*"):
        if path == but or but in path.parents:
            continue
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            found[str(path)] = (status.st_mode, status.st_mtime_ns, path.read_bytes())
        else:
            found[str(path)] = (status.st_mode, 0, b"")
    return found


def test_nothing_is_written_outside_the_folder(place: Place) -> None:
    """Jobs that try to get out by their keys, and all verbs, change nothing beside the folder."""
    around = place.root.parent
    home = around / "home"
    for folder in ("home", "tmp", "neighbour"):
        (around / folder).mkdir()
    (around / "neighbour/precious.sh").write_text("echo precious")
    (around / "precious").write_text("x")
    variables = {
        "HOME": str(home),
        "TMPDIR": str(around / "tmp"),
        "XDG_CACHE_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    place.put("links/up/data", "")
    (place.root / "links/up/neighbour").symlink_to(around / "neighbour")
    (place.root / "links/run.sh").symlink_to(around / "neighbour/precious.sh")
    (place.root / "way").symlink_to(around / "neighbour")
    place.put("out/run.sh", "ln -s ../../../../neighbour out; mkdir -p ...; echo x > .../file")
    place.put("plain/run.sh", "echo x > result; echo $SHOAL_JOB_ID")
    place.submit(
        {"job_id": "../precious", "commands": ["echo x"]},
        {"job_id": "/precious", "commands": ["echo x"]},
        {"job_id": "way", "folder": "way", "commands": ["echo x > precious.sh"]},
        {"job_id": "below", "folder": "way/sub", "commands": ["echo x"]},
        {"job_id": "needs", "commands": ["echo x"], "required_files": ["a/b"]},
    )
    before = everything_in(around, place.root)
    place.up(variables=variables)
    for verb in (
        ("status",),
        ("status", "plain/run.sh"),
        ("events",),
        ("logs", "../precious"),
        ("doctor", "--fix"),
        ("retry", "out/run.sh"),
        ("cancel", "out/run.sh"),
        ("pause",),
        ("resume",),
        ("submit", "--command", "echo"),
        ("submit", "--file", "-"),
        ("wait", "--timeout", "0"),
    ):
        place.shoal(*verb, variables=variables, cwd=home)
    assert everything_in(around, place.root) == before
    assert place.statuses()["plain/run.sh"] == Status.SUCCESSFUL
    assert "result" in [path.name for path in (place.root / "plain").iterdir()]


def test_a_result_made_a_link_is_not_fetched(place: Place, tmp_path: Path) -> None:
    """`fetch` copies results, not what somebody has put a link to in their place."""
    place.put("job/run.sh", "echo x > result")
    place.up()
    (place.root / "job/result").unlink()
    (place.root / "job/result").symlink_to("/etc/passwd")
    said = run_verb(place, "fetch", "job/run.sh", str(tmp_path / "got"))
    assert said.code == 2
    assert "link" in said.err
    assert not (tmp_path / "got/job/result").exists()


def test_a_second_supervisor_is_refused(place: Place) -> None:
    """A folder has one supervisor: a second one is told which process that is, and what to do."""
    with place.supervised() as first:
        wait_until(lambda: place.layout.supervisor_lock.read_text().strip())
        second = place.shoal("up", place.root)
        assert second.returncode == 3
        assert f"has a supervisor already (process {first.pid})" in second.stderr
        assert "Traceback" not in second.stderr
        place.put("job/run.sh", "echo")
        wait_until(lambda: place.statuses().get("job/run.sh") == Status.SUCCESSFUL)
    place.up()


def test_a_killed_supervisor_is_replaced(place: Place) -> None:
    """A supervisor that was killed does not keep the next one out."""
    first = place.start("up", place.root)
    wait_until(
        lambda: place.layout.supervisor_lock.exists() and place.layout.supervisor_lock.read_text()
    )
    first.kill()
    first.communicate()
    place.put("job/run.sh", "echo")
    place.up()
    assert place.statuses() == {"job/run.sh": Status.SUCCESSFUL}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"linger_s = ", "not valid TOML"),
        (b"\xff\xfe", "not valid TOML"),
        (b"lingers = 1", "unknown setting 'lingers'"),
        (b"linger_s = 'long'", "linger_s can't be 'long'"),
        (b"linger_s = -1", "linger_s can't be -1"),
        (b"linger_s = nan", "linger_s can't be nan"),
        (b"max_workers = 1e99", "max_workers can't be"),
        (b"max_workers = -1", "max_workers can't be -1"),
        (b"trigger_suffix = ['']", "trigger_suffix can't be"),
        (b"trigger_suffix = '.sh'", "trigger_suffix can't be"),
        (b"retry = true", "retry can't be True"),
        (b"[linger_s]\nx = 1", "linger_s can't be"),
    ],
)
def test_bad_settings_name_the_line(place: Place, content: bytes, words: str) -> None:
    """A setting that makes no sense ends every verb with exit code 2, the file and the name."""
    place.layout.settings.write_bytes(content)
    for verb in ("status", "config"):
        said = run_verb(place, verb)
        assert said.code == 2, said
        assert words in said.err
        assert str(place.layout.settings) in said.err


def test_a_settings_file_that_cannot_be_read(place: Place) -> None:
    """A settings file in the way, or shut, is an error and not a traceback."""
    place.layout.settings.unlink()
    place.layout.settings.mkdir()
    done = place.shoal("status")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "can't be read (Is a directory): mend or remove it" in done.stderr
    place.layout.settings.rmdir()
    place.layout.settings.touch(0)
    done = place.shoal("status", plain=True)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "can't be read (Permission denied): mend or remove it" in done.stderr


@pytest.mark.parametrize("name", ["file", "file/below", "missing", ".shoal", "jobs/.shoal"])
def test_a_name_that_is_no_environment(place: Place, name: str) -> None:
    """A name that can't lead to an environment ends verbs with 2 or 3, the name and what to do."""
    (place.root.parent / "file").write_text("x")
    for verb in (["status"], ["up", "--until-idle"] if name != "missing" else ["wait"]):
        done = place.shoal(verb[0], "-e", name, *verb[1:])
        assert done.returncode in (2, 3), done
        assert name.split("/")[0] in done.stderr
        assert "Traceback" not in done.stderr
    assert (place.root.parent / "file").read_text() == "x"
    assert not (place.root.parent / "missing").exists()
