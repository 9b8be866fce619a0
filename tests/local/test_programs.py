"""What can be an executable, and how it is started: one worker runs a gallery of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.core.job import Status

from .place import Place

HELLO = "echo hello from $SHOAL_JOB_ID\n"
TRUE, ECHO = Path("/bin/true").read_bytes(), Path("/bin/echo").read_bytes()
NAMES = (
    "-rf.sh",
    "with space.sh",
    "$(touch gone) `touch gone`;touch gone.sh",
    "'single'\"double\"\\.sh",
    "ünï-日本.sh",
    "*?[a].sh",
    "~.sh",
    "!&|<>.sh",
    ".hidden.sh",
    ".sh",
    "n" * 252 + ".sh",
)
FOLDERS = ("plain", "-n", "$(touch gone)/'\"\\ x/ünï", "d/" * 100 + "deep")

PROGRAMS: dict[str, tuple[str | bytes, int]] = {
    "shebang/run.sh": ("#!/bin/sh -e\nfalse; echo not reached", 0o755),
    "cat/run.sh": ("#!/bin/cat\nits own text", 0o755),
    "no-shebang/run.sh": (HELLO, 0o755),
    "not-executable/run.sh": (HELLO, 0o600),
    "no-newline/run.sh": ("echo hello", 0o644),
    "binary-true/run.sh": (TRUE, 0o755),
    "binary-echo/run.sh": (ECHO, 0o400),
    "no-interpreter/run.sh": ("#!/no/such/thing -x\n" + HELLO, 0o755),
    "bare-shebang/run.sh": ("#!", 0o755),
    "dos/run.sh": ("#!/bin/sh\r\necho hello\r\n", 0o755),
    "garbage/run.sh": (b"\x7fELF" + bytes(range(256)), 0o755),
    "comment/run.sh": ("# nothing to do", 0o644),
    "exit-7/run.sh": ("echo about to fail; exit 7", 0o644),
    **{f"names/{name}": (HELLO, 0o644) for name in NAMES},
    **{f"{folder}/run.sh": (HELLO, 0o644) for folder in FOLDERS},
}


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place where all of `PROGRAMS` have run."""
    place = Place(tmp_path_factory.mktemp("gallery") / "jobs", retry=1)
    for key, (content, mode) in PROGRAMS.items():
        place.put(key, content, mode)
    place.up()
    yield place
    place.clear()


def test_every_program_had_its_run(gallery: Place) -> None:
    """Each executable became a job, and each job is over."""
    statuses = gallery.statuses()
    assert statuses.keys() == PROGRAMS.keys()
    assert set(statuses.values()) == {Status.SUCCESSFUL, Status.FAILED}


@pytest.mark.parametrize(
    ("key", "output"),
    [
        ("cat/run.sh", "#!/bin/cat\nits own text"),
        ("no-shebang/run.sh", "hello from no-shebang/run.sh\n"),
        ("not-executable/run.sh", "hello from not-executable/run.sh\n"),
        ("no-newline/run.sh", "hello\n"),
        ("binary-true/run.sh", ""),
        ("binary-echo/run.sh", "\n"),
        ("comment/run.sh", ""),
    ],
)
def test_formats_that_run(gallery: Place, key: str, output: str) -> None:
    """Scripts with a shebang or without, and binaries, run whatever their mode says."""
    assert gallery.job(key).status == Status.SUCCESSFUL
    assert gallery.output(key) == output


@pytest.mark.parametrize("key", [key for key in PROGRAMS if PROGRAMS[key][0] == HELLO], ids=ascii)
def test_names_are_data(gallery: Place, key: str) -> None:
    """No file or folder name changes how an executable runs, and none is read by a shell."""
    assert gallery.job(key).status == Status.SUCCESSFUL
    assert gallery.output(key) == f"hello from {key}\n"
    assert not list(gallery.root.rglob("gone"))


def test_the_exit_code_decides(gallery: Place) -> None:
    """An exit code other than 0 fails the job, with the code and the last words as the reason."""
    assert gallery.reason("shebang/run.sh") == "exit code 1"
    assert gallery.reason("exit-7/run.sh") == "exit code 7, last output: about to fail"
    assert gallery.job("exit-7/run.sh").status == Status.FAILED
    assert len(gallery.attempts("exit-7/run.sh")) == 2


def test_a_missing_interpreter_is_named_and_not_retried(gallery: Place) -> None:
    """The reason names the interpreter, where the system's own would name the executable."""
    assert gallery.reason("no-interpreter/run.sh") == (
        "its interpreter '/no/such/thing' is not on this machine"
    )
    assert len(gallery.attempts("no-interpreter/run.sh")) == 1


def test_dos_line_ends_are_explained(gallery: Place) -> None:
    """A shebang that ends in a carriage return fails with the cause and the remedy."""
    assert gallery.reason("dos/run.sh") == (
        "its interpreter '/bin/sh\\r' is not on this machine (save it with Unix line ends)"
    )


def test_garbage_fails_and_hurts_nobody(gallery: Place) -> None:
    """A file that is no program fails its job; what runs after it runs."""
    assert gallery.job("garbage/run.sh").status == Status.FAILED
    assert gallery.job("garbage/run.sh").interruptions == 0
