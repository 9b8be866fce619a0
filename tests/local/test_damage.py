"""A database that is not what we wrote: each verb says so, with the remedy, and changes nothing."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from shoal.core.job import Status

from .place import Place
from .verbs import run_verb

VERBS = (
    ("status",),
    ("status", "--json"),
    ("status", "job-1"),
    ("submit", "--command", "echo"),
    ("wait", "--timeout", "0"),
    ("logs", "job-1"),
    ("fetch", "*", "{elsewhere}"),
    ("events",),
    ("events", "--json", "--queue", "failed"),
    ("cancel", "job-2"),
    ("retry", "job-3"),
    ("pause",),
    ("resume",),
    ("workers",),
    ("doctor",),
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An environment with jobs of all kinds, at rest."""
    place = Place(tmp_path_factory.mktemp("sound") / "jobs")
    ran = [{"job_id": f"job-{n}", "commands": [f"echo {n}; exit {n % 3}"]} for n in range(100)]
    place.put("a/run.sh", "echo > out")
    place.submit(*ran)
    place.submit_folder("a")
    place.work()
    place.submit(*({"job_id": f"late-{n}", "commands": ["echo"]} for n in range(100)))
    return place


@pytest.fixture
def copy(sound: Place, tmp_path: Path) -> Place:
    """A copy of it, for damaging."""
    place = Place(tmp_path / "jobs")
    shutil.copytree(sound.root, place.root, dirs_exist_ok=True)
    return place


def newer(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def garbage_header(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.write(b"garbage!" * 20)


def other_file(file: Path) -> None:
    file.write_text("This is my shopping list: eggs, milk, bread\n" * 100)


def truncated(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)


def nearly_nothing(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(60)


def zeroed(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


REMEDIES: dict[Callable[[Path], None], str] = {
    newer: "upgrade Shoal",
    garbage_header: "shoal doctor --fix",
    other_file: "shoal doctor --fix",
    nearly_nothing: "shoal doctor --fix",
    zeroed: "shoal doctor --fix",
}


@pytest.mark.parametrize("damage", REMEDIES)
def test_each_verb_names_the_remedy(copy: Place, damage: Callable[[Path], None]) -> None:
    """With a file that can't be opened, every verb ends with exit code 3, the cause, the remedy."""
    damage(copy.layout.database)
    before = copy.layout.database.read_bytes()
    for verb in VERBS:
        said = run_verb(copy, *(part.format(elsewhere=copy.root.parent / "x") for part in verb))
        assert (said.code, said.out) == (3, ""), (verb, said)
        assert str(copy.layout.database) in said.err
        assert REMEDIES[damage] in said.err
    up = copy.shoal("up", copy.root, "--until-idle")
    assert up.returncode == 3
    assert REMEDIES[damage] in up.stderr
    assert "Traceback" not in up.stderr
    assert copy.layout.database.read_bytes() == before


def test_a_file_cut_in_half_is_noticed(copy: Place) -> None:
    """A truncated file ends with the remedy wherever it is noticed, and never with a traceback."""
    truncated(copy.layout.database)
    codes = set()
    for verb in VERBS:
        said = run_verb(copy, *(part.format(elsewhere=copy.root.parent / "x") for part in verb))
        codes.add(said.code)
        assert said.code != 3 or "shoal doctor --fix" in said.err, (verb, said)
    assert 3 in codes


@pytest.mark.parametrize("seed", range(10))
def test_flipped_bytes_never_make_a_traceback(copy: Place, seed: int) -> None:
    """With bytes flipped anywhere below the header, verbs work or name the remedy."""
    chance = random.Random(seed)
    data = bytearray(copy.layout.database.read_bytes())
    for _ in range(2 ** (seed % 6) * 10):
        data[chance.randrange(100, len(data))] ^= 1 << chance.randrange(8)
    for verb in VERBS:
        copy.layout.database.write_bytes(data)
        for suffix in ("-wal", "-shm"):
            Path(f"{copy.layout.database}{suffix}").unlink(missing_ok=True)
        said = run_verb(copy, *(part.format(elsewhere=copy.root.parent / "x") for part in verb))
        assert said.code in (0, 1, 2, 3), (verb, said)
        assert said.code != 3 or ": " in said.err, (verb, said)


def test_a_spec_that_cannot_be_read_is_damage(copy: Place) -> None:
    """A row whose text is not what we wrote is reported as damage, not as a fault of the user."""
    connection = sqlite3.connect(copy.layout.database)
    connection.execute("UPDATE job SET spec = 'no json' WHERE job_id = 'job-1'")
    connection.execute("UPDATE job SET status = 'Quewed' WHERE job_id = 'job-2'")
    connection.execute("UPDATE job SET spec = CAST(x'7bff7d' AS TEXT) WHERE job_id = 'job-3'")
    connection.commit()
    connection.close()
    for job_id in ("job-1", "job-2", "job-3"):
        said = run_verb(copy, "status", job_id)
        assert said.code == 3, said
        assert "is damaged" in said.err
        assert "shoal doctor --fix" in said.err


def test_a_damaged_database_is_mended(copy: Place) -> None:
    """`doctor --fix` saves what can be read and keeps the old file; then work goes on."""
    garbage_header(copy.layout.database)
    (copy.root / "a/run.sh").unlink()  # so that there is nothing to be taken in anew
    assert run_verb(copy, "doctor", "--fix").code in (0, 1)
    assert run_verb(copy, "doctor").code == 0
    assert list(copy.layout.own.glob("damaged-*.db"))
    copy.submit({"job_id": "new", "commands": ["echo"]})
    copy.work()
    assert copy.job("new").status == Status.SUCCESSFUL
