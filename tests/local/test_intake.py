"""Intake with a real supervisor: what starts a job, what is refused, and where that is said."""

from __future__ import annotations

import json
import os
from pathlib import Path

from shoal.core.job import Status

from .place import Place, wait_for_status, wait_until

SUCCESSFUL = Status.SUCCESSFUL
BAD_UTF8 = os.fsdecode(b"bad-\xff")


def refusals(place: Place) -> dict[str, str]:
    """What a program reads of refusals: the refused keys with the reasons."""
    done = place.shoal("events", "--json", "--queue", "failed")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["job"]["refused"]: line["reason"] for line in lines if line["job_id"] is None}


def test_an_upload_starts_when_it_is_closed(place: Place) -> None:
    """A job does not start while its executable is written; it starts when that is closed."""
    with place.supervised():
        with place.put("job/upload").with_name("run.sh").open("w") as upload:
            upload.write("echo half")
            upload.flush()
            # By the time another job has come and gone, this one was looked at.
            place.put("other/run.sh", "echo")
            wait_for_status(place, "other/run.sh", SUCCESSFUL)
            place.put("third/run.sh", "echo")
            wait_for_status(place, "third/run.sh", SUCCESSFUL)
            assert "job/run.sh" not in place.statuses()
            upload.write(" and half\n")
        wait_for_status(place, "job/run.sh", SUCCESSFUL)
    assert place.output("job/run.sh") == "half and half\n"


def test_rewriting_an_executable_is_a_new_run(place: Place) -> None:
    """Each new version of an executable is one run more; moving it away and back is none."""
    path = place.put("job/run.sh", "echo 1")
    with place.supervised():
        wait_for_status(place, "job/run.sh", SUCCESSFUL)
        path.write_text("echo second")
        wait_until(lambda: len(place.events()) == 2)
        path.rename(place.root / "aside")
        (place.root / "aside").rename(path)
        with path.open("a"):
            pass
        path.chmod(0o700)
        place.put("last/run.sh", "echo")
        wait_for_status(place, "last/run.sh", SUCCESSFUL)
    place.up()
    assert [(event.job_id, event.run) for event in place.events()] == [
        ("job/run.sh", 1),
        ("job/run.sh", 2),
        ("last/run.sh", 1),
    ]
    assert place.output("job/run.sh") == "second\n"


def test_what_cannot_be_a_job_is_refused_with_the_reason(place: Place) -> None:
    """Refusals are on the failed queue, once, each with what is wrong and what to do."""
    place.put("top.sh", "echo")
    place.put("empty/run.sh", "")
    place.put("control/run\n.sh", "echo")
    place.put("escape/\x1b[31mrun.sh", "echo")
    place.put(f"bytes/{BAD_UTF8}.sh", "echo")
    place.put(f"{BAD_UTF8}/run.sh", "echo")
    place.put("long/" + "d" * 200 + "/" + ("e" * 200 + "/") * 5 + "run.sh", "echo")
    (place.root / "link").mkdir()
    (place.root / "link/run.sh").symlink_to("../good/run.sh")
    place.put("good/run.sh", "echo")
    said = place.up()
    assert place.up().count("refused") == 0
    assert said.count("refused: ") == 8
    assert said.isascii()
    reasons = refusals(place)
    assert len(reasons) == 8
    assert "lies at the top of the bucket" in reasons["top.sh"]
    assert "folder of their own" in reasons["top.sh"]
    assert "is empty" in reasons["empty/run.sh"]
    assert "control characters" in reasons["control/run\n.sh"]
    assert "control characters" in reasons["escape/\x1b[31mrun.sh"]
    assert "not valid UTF-8" in reasons["bytes/bad-\\udcff.sh"]
    assert "not valid UTF-8" in reasons["bad-\\udcff/run.sh"]
    assert "is a link" in reasons["link/run.sh"]
    [long] = [reason for key, reason in reasons.items() if key.startswith("long/")]
    assert "over 1,024 bytes" in long
    assert place.statuses() == {"good/run.sh": SUCCESSFUL}
    table = place.shoal("events")
    assert "lies at the top of the bucket" in table.stdout
    assert "\x1b" not in table.stdout


def test_a_refused_executable_that_is_mended_starts(place: Place) -> None:
    """What was refused is looked at again when it is uploaded anew."""
    place.put("job/run.sh", "")
    place.up()
    place.put("job/run.sh", "echo")
    place.up()
    assert place.statuses() == {"job/run.sh": SUCCESSFUL}


def test_many_job_folders_at_once(place: Place) -> None:
    """Every one of many folders that are there at the start becomes a job."""
    place.set(max_workers=2)
    for number in range(80):
        place.put(f"{number % 10}/{number}/run.sh", "echo $SHOAL_JOB_ID > out")
    place.up()
    assert len(place.statuses()) == 80
    assert set(place.statuses().values()) == {SUCCESSFUL}
    assert (place.root / "7/77/out").read_text() == "7/77/run.sh\n"


def test_several_suffixes(place: Place) -> None:
    """Each of several trigger suffixes starts jobs, and no other ending does."""
    place.put("job/a.run", "echo")
    place.put("job/b.go", "echo")
    place.put("job/c.sh", "echo")
    place.up("--trigger-suffix", ".run", "--trigger-suffix", ".go")
    assert place.statuses() == {"job/a.run": SUCCESSFUL, "job/b.go": SUCCESSFUL}


def test_names_that_are_not_utf8_come_and_go(place: Place, tmp_path: Path) -> None:
    """Inputs and results whose names are no valid UTF-8 are staged, recorded and fetched."""
    place.put(f"job/{BAD_UTF8}.in", "data")
    place.put("job/run.sh", 'for at in *.in; do cp "$at" "$at.out"; cp "$at" "$at.sh"; done')
    place.up()
    place.up()
    assert place.statuses() == {"job/run.sh": SUCCESSFUL}
    assert refusals(place) == {}
    done = place.shoal("fetch", "job/run.sh", tmp_path / "got", "--json")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path / "got/job")) == [f"{BAD_UTF8}.in.out", f"{BAD_UTF8}.in.sh"]


def test_an_environment_in_an_environment_is_left_alone(place: Place) -> None:
    """A `.shoal` deeper in the folder belongs to another environment: nothing in it starts."""
    place.put("inner/.shoal/work/w-1/run.sh", "echo")
    place.put("job/run.sh", "echo")
    place.up()
    assert place.statuses() == {"job/run.sh": SUCCESSFUL}
