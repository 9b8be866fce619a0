"""Job folders from upload to results, with a real worker or a real supervisor."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.core.errors import BucketError
from shoal.core.job import Status

from .place import Place, wait_for_status, wait_until

WAIT_FOR_GO = 'while [ ! -e "$SHOAL_ENV/go" ]; do sleep 0.01; done\n'
SUCCESSFUL, FAILED = Status.SUCCESSFUL, Status.FAILED


def leftovers(place: Place) -> list[Path]:
    """What is left of work folders and of half-written files."""
    return [*place.layout.work.iterdir(), *place.root.rglob("*.shoal-part")]


def test_results_appear_beside_the_inputs(place: Place) -> None:
    """The executable finds its inputs; what is new or changed appears in the bucket."""
    place.put("a/b/in.txt", "3\n")
    place.put("a/b/log.txt", "old\n")
    place.put("a/b/run.sh", "mkdir -p out/deep; cat in.txt > out/deep/copy; echo new >> log.txt")
    place.up()
    assert place.statuses() == {"a/b/run.sh": SUCCESSFUL}
    assert (place.root / "a/b/out/deep/copy").read_text() == "3\n"
    assert (place.root / "a/b/log.txt").read_text() == "old\nnew\n"
    assert leftovers(place) == []


def test_results_with_the_trigger_suffix_start_nothing(place: Place) -> None:
    """No result starts a job: not now, not after a restart, not when the suffix is changed."""
    place.put(
        "job/run.sh",
        "mkdir sub; for at in . sub; do for kind in sh py; do echo 'echo again' > $at/made.$kind;"
        " done; done",
    )
    place.up()
    place.up()
    assert (place.root / "job/sub/made.sh").exists()
    place.set(trigger_suffix=[".sh", ".py"])
    place.up()
    assert place.statuses() == {"job/run.sh": SUCCESSFUL}
    assert len(place.events()) == 1


def test_a_result_that_a_user_replaces_does_start(place: Place) -> None:
    """A user's own upload over a result with the suffix is an executable like any other."""
    place.put("job/run.sh", "echo 'echo again' > made.sh")
    place.up()
    place.put("job/made.sh", "echo a new one, by hand")
    place.up()
    assert place.statuses() == {"job/run.sh": SUCCESSFUL, "job/made.sh": SUCCESSFUL}


def test_two_executables_are_two_jobs_over_the_same_inputs(place: Place) -> None:
    """Each executable of a folder is a job that sees all of the folder."""
    place.put("job/data", "shared")
    place.put("job/one.sh", "cat data > one.out; [ -e two.sh ]")
    place.put("job/two.sh", "cat data > two.out; [ -e one.sh ]")
    place.up()
    assert place.statuses() == {"job/one.sh": SUCCESSFUL, "job/two.sh": SUCCESSFUL}
    assert (place.root / "job/one.out").read_text() == "shared"
    assert (place.root / "job/two.out").read_text() == "shared"


def test_a_result_in_the_way_of_a_folder_fails_the_job_alone(place: Place) -> None:
    """A result with the name of a folder fails its job with that reason; the worker goes on."""
    (place.root / "job/out").mkdir(parents=True)
    place.put("job/out/precious", "x")
    place.put("job/run.sh", "rm -r out; echo file > out")
    place.submit_folder("job", retry=3)
    place.submit({"job_id": "next", "commands": ["echo"]})
    place.work()
    assert place.statuses() == {"job/run.sh": FAILED, "next": SUCCESSFUL}
    assert "'out' has the name of a folder" in place.reason("job/run.sh")
    assert len(place.attempts("job/run.sh")) == 1
    assert (place.root / "job/out/precious").read_text() == "x"


def test_shut_folders_and_files_are_staged_out_and_cleared_away(place: Place) -> None:
    """What a job has shut to everybody comes back as it is, and its work folder goes."""
    place.put(
        "job/run.sh",
        "mkdir -p shut/deeper readonly; echo x > shut/deeper/file; echo y > readonly/file;"
        " echo z > secret; chmod 000 secret shut/deeper shut .; chmod 555 readonly || true",
    )
    place.submit_folder("job")
    place.submit({"job_id": "next", "commands": ['[ -z "$(ls -A)" ] && touch ok && rm ok']})
    place.work(plain=True)
    assert place.reason("job/run.sh") == "confirmed"
    assert place.statuses()["next"] == SUCCESSFUL
    assert (place.root / "job/shut/deeper/file").read_text() == "x\n"
    assert (place.root / "job/readonly/file").read_text() == "y\n"
    assert (place.root / "job/secret").stat().st_mode & 0o777 == 0
    assert leftovers(place) == []


def test_a_shut_job_folder_fails_the_job_with_the_reason(place: Place) -> None:
    """Results that may not be written fail the job once, and say so."""
    place.put("job/run.sh", "echo x > new")
    (place.root / "job").chmod(0o555)
    place.submit_folder("job", retry=3)
    place.work(plain=True)
    (place.root / "job").chmod(0o755)
    assert place.statuses() == {"job/run.sh": FAILED}
    assert "Permission denied" in place.reason("job/run.sh")
    assert len(place.attempts("job/run.sh")) == 1


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ('mv "$PWD" "$PWD.old"; ln -s "$SHOAL_ENV/other" "$PWD"', "in place of its work folder"),
        ('rm -rf "$PWD"', "can't be staged out"),
    ],
)
def test_a_job_without_its_work_folder_fails(place: Place, script: str, reason: str) -> None:
    """A job that does away with its work folder has no results, and takes none from elsewhere."""
    place.put("other/precious", "x")
    place.put("job/run.sh", script)
    place.submit_folder("job")
    place.work()
    assert place.statuses() == {"job/run.sh": FAILED}
    assert reason in place.reason("job/run.sh")
    assert (place.root / "other/precious").read_text() == "x"
    assert [path.name for path in (place.root / "job").iterdir()] == ["run.sh"]


def test_an_executable_that_changes_itself_is_a_result(place: Place) -> None:
    """The changed executable is staged out, and starts nothing again."""
    place.put("job/run.sh", "#!/bin/sh\necho 'echo changed' >> run.sh\n")
    place.up()
    assert (place.root / "job/run.sh").read_text().endswith("\necho changed\n")
    place.up()
    assert [(event.job_id, event.run) for event in place.events()] == [("job/run.sh", 1)]


def test_inputs_that_a_user_changes_meanwhile_stand(place: Place) -> None:
    """An input replaced while the job runs is not overwritten by the job's older copy of it."""
    place.put("job/data", "old")
    place.put("job/both", "old")
    place.put(
        "job/run.sh",
        'chmod 600 data; echo job > both; touch started; cp started "$SHOAL_ENV"\n' + WAIT_FOR_GO,
    )
    place.submit_folder("job")
    worker = place.start_worker()
    wait_until(lambda: (place.root / "started").exists())
    place.put("job/data", "new")
    place.put("job/both", "new")
    place.put("go")
    worker.communicate()
    assert place.reason("job/run.sh") == "confirmed"
    assert (place.root / "job/data").read_text() == "new"
    assert (place.root / "job/both").read_text() == "job\n"


def test_a_new_executable_is_not_overwritten_by_the_old_run(place: Place) -> None:
    """An executable uploaded while its predecessor runs, without a supervisor, becomes run 2."""
    place.put("job/run.sh", 'cp run.sh "$SHOAL_ENV/started"\n' + WAIT_FOR_GO)
    place.submit_folder("job")
    worker = place.start_worker()
    wait_until(lambda: (place.root / "started").exists())
    place.put("job/run.sh", "echo second > out")
    place.put("go")
    worker.communicate()
    place.up()
    assert [(event.run, event.status) for event in place.events()] == [
        (1, SUCCESSFUL),
        (2, SUCCESSFUL),
    ]
    assert (place.root / "job/out").read_text() == "second\n"


def test_a_new_executable_replaces_the_run_under_way(place: Place) -> None:
    """Uploading an executable again stops the attempt that runs the old one, and starts run 2."""
    place.put("job/run.sh", 'cp run.sh "$SHOAL_ENV/started"; echo 1 > out\nsleep 1000')
    with place.supervised():
        wait_until(lambda: (place.root / "started").exists())
        place.put("job/run.sh", "echo second > out")
        wait_for_status(place, "job/run.sh", SUCCESSFUL)
    assert [(event.run, event.status, event.reason) for event in place.events()] == [
        (1, Status.CANCELLED, "replaced by run 2"),
        (2, SUCCESSFUL, "confirmed"),
    ]
    assert (place.root / "job/out").read_text() == "second\n"


def test_an_executable_removed_before_its_turn_fails_with_the_reason(place: Place) -> None:
    """A job whose executable or folder is gone fails once, and says what is missing."""
    place.put("a/run.sh", "echo")
    place.put("b/run.sh", "echo")
    place.submit_folder("a", retry=3)
    place.submit_folder("b", retry=3)
    (place.root / "a/run.sh").unlink()
    (place.root / "b/run.sh").unlink()
    (place.root / "b").rmdir()
    place.work()
    assert place.reason("a/run.sh") == "the executable 'run.sh' is not there any more"
    assert "there is no folder 'b' in the bucket" in place.reason("b/run.sh")
    assert [len(place.attempts(job_id)) for job_id in place.statuses()] == [1, 1]


def test_pipes_in_a_job_folder_hold_nobody_up(place: Place) -> None:
    """A named pipe beside the inputs is passed over, by name of an executable it is refused."""
    import os

    place.put("job/run.sh", "[ ! -e pipe ]; mkfifo out-pipe")
    os.mkfifo(place.root / "job/pipe")
    os.mkfifo(place.root / "job/pipe.sh")
    said = place.up()
    assert "'job/pipe.sh' is not a plain file" in said
    assert place.statuses() == {"job/run.sh": SUCCESSFUL}
    assert sorted(os.listdir(place.root / "job")) == ["pipe", "pipe.sh", "run.sh"]


def test_submitting_a_folder_from_elsewhere_runs_it_once(place: Place, tmp_path: Path) -> None:
    """A folder outside is copied in and run once, also when a supervisor finds it afterwards."""
    outside = tmp_path / "mine"
    outside.mkdir()
    (outside / "run.sh").write_text("echo x > out")
    assert place.submit_folder("../mine") == ["mine/run.sh"]
    place.up()
    place.up()
    assert [(event.job_id, event.run) for event in place.events()] == [("mine/run.sh", 1)]
    assert (place.root / "mine/out").read_text() == "x\n"
    assert sorted(path.name for path in outside.iterdir()) == ["run.sh"]


def test_a_submission_refused_for_its_name_does_not_arm_results(
    place: Place, tmp_path: Path
) -> None:
    """A folder refused because its name is taken changes nothing about the one that has it."""
    place.put("mine/run.sh", "echo 'echo again' > made.sh")
    place.up()
    outside = tmp_path / "mine"
    outside.mkdir()
    (outside / "made.sh").write_text("echo another")
    with pytest.raises(BucketError, match="already"):
        place.submit_folder("../mine")
    place.up()
    assert place.statuses() == {"mine/run.sh": SUCCESSFUL}


@pytest.mark.parametrize("content", [None, ""], ids=["nothing", "empty"])
def test_a_folder_without_an_executable_is_refused(place: Place, content: str | None) -> None:
    """`submit` refuses a folder with nothing to run in it, or an executable that is empty."""
    place.put("job/data", "x")
    if content is not None:
        place.put("job/run.sh", content)
    with pytest.raises(BucketError, match=r"holds no executable|'run.sh' is empty"):
        place.submit_folder("job")


def test_the_environment_itself_is_no_job_folder(place: Place) -> None:
    """Submitting the whole bucket as a job folder is refused with what to do."""
    place.put("run.sh", "echo")
    done = place.shoal("submit", place.root)
    assert done.returncode == 2
    assert "folder of their own" in done.stderr
