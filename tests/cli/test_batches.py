"""Batches at the shell: `submit` says an id, and the other verbs take it."""

from __future__ import annotations

import json

from .shell import Shell


def submit_some(shell: Shell, *words: str) -> str:
    """Three jobs of one submission, of which the second fails; their batch."""
    (shell.folder / "p.csv").write_text("n,code\n1,0\n2,3\n3,0\n")
    sweep = ("--sweep", "p.csv", "--command", "echo {n} | tee out; exit {code}", "--id", "n{n}")
    said = shell.type_for_json("submit", *sweep, *words)
    assert said["accepted"] == 3
    return str(said["batch"])


def test_every_verb_takes_a_batch(shell: Shell) -> None:
    """What was submitted together is looked at, waited for, tried again, and cancelled together."""
    shell.submit("alone")
    batch = submit_some(shell)
    shown = shell.type_for_json("status", "--batch", batch)
    assert sorted(job["job_id"] for job in shown["jobs"]) == ["n1", "n2", "n3"]
    assert shown["counts"]["Queued"] == 3
    assert shell.type_for_json("status", "n1")["batch"] == batch
    shell.type("cancel", "alone")
    shell.run_all()
    waited = shell.type("wait", "--batch", batch, "--json", code=1)
    assert json.loads(waited.out)["by_status"] == {"Successful": 2, "Failed": 1}
    assert shell.type("retry", "--batch", batch).out.split()[0] == "n2"
    assert shell.type("cancel", "--batch", batch).out.split()[0] == "n2"
    assert "n2" in shell.type("status", "--batch", batch, "--status", "Cancelled").out


def test_results_of_a_batch(shell: Shell) -> None:
    """`fetch --batch` brings what all jobs of a submission have made."""
    for name in ("a", "b", "c"):
        shell.folder.joinpath(name).mkdir()
        shell.folder.joinpath(name, "run.sh").write_text("echo hello > out\n")
    batch = shell.type_for_json("submit", "a", "b")["batch"]
    shell.type("submit", "c")
    shell.run_all()
    shell.type("fetch", "--batch", batch, "there")
    there = shell.folder / "there"
    assert sorted(path.relative_to(there).as_posix() for path in there.rglob("out")) == [
        "a/out",
        "b/out",
    ]


def test_a_batch_has_a_name_of_its_own_when_wanted(shell: Shell) -> None:
    """`--batch` names it, for jobs from a file too, unless a job says otherwise."""
    assert submit_some(shell, "--batch", "night shift") == "night shift"
    job = {"job_id": "f", "commands": ["true"]}
    (shell.folder / "jobs").write_text(
        f"{json.dumps(job)}\n{json.dumps({**job, 'job_id': 'g', 'batch': 'own'})}\n"
    )
    shell.type("submit", "--file", "jobs", "--batch", "filed")
    assert shell.type_for_json("status", "f")["batch"] == "filed"
    assert shell.type_for_json("status", "g")["batch"] == "own"


def test_dropped_folders_are_a_batch(shell: Shell) -> None:
    """Folders dropped in together below one folder have its name as their batch."""
    for corner in ("tt", "ff"):
        folder = shell.folder / "corners" / corner
        folder.mkdir(parents=True)
        (folder / "run.sh").write_text("true\n")
    shell.run_all()
    shown = shell.type_for_json("status", "--batch", "corners")
    assert shown["counts"]["Successful"] == 2


def test_a_shotgun_search_ends_with_the_first_hit(shell: Shell) -> None:
    """With `--stop-on-success` the first job that succeeds cancels the rest, running or not."""
    (shell.folder / "p.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(30)))
    command = "test {n} = 3 || {{ sleep 1000; false; }}"
    said = shell.type_for_json(
        *("submit", "--sweep", "p.csv", "--command", command, "--id", "n{n}"), "--stop-on-success"
    )
    shell.type("submit", "--command", "true", "--id", "other")
    shell.type("up", "--until-idle", "--max-workers", "4")
    assert shell.type_for_json("wait", "--batch", said["batch"])["found"] == "n3"
    assert "n3" in shell.type("wait", "--batch", said["batch"]).err
    counts = shell.type_for_json("status", "--batch", said["batch"])["counts"]
    assert (counts["Successful"], counts["Cancelled"]) == (1, 29)
    hint = f"To see why: shoal status 'n*' --batch {said['batch']} --status Cancelled\n"
    assert hint in shell.type("wait", "n*", "--batch", said["batch"], code=1).err
    assert shell.type_for_json("status", "other")["Status"] == "Successful"
    assert "job 'n3' of batch" in shell.type_for_json("status", "n20")["reason"]


def test_a_shotgun_search_may_find_nothing(shell: Shell) -> None:
    """Where no job is successful, `wait` ends with 1 and points to the reasons."""
    (shell.folder / "p.csv").write_text("n\n1\n2\n")
    sweep = ("--sweep", "p.csv", "--command", "test {n} = 3", "--batch", "hunt")
    shell.type("submit", *sweep, "--stop-on-success")
    shell.run_all()
    assert "--status Failed" in shell.type("wait", "--batch", "hunt", code=1).err


def test_what_makes_no_sense_is_said(shell: Shell) -> None:
    """A batch that is not there, or a verb for no job at all, is an error with a remedy."""
    shell.submit("a")
    assert "no job of batch 'nobody'" in shell.type("wait", "--batch", "nobody", code=2).err
    assert "no job of batch 'nobody'" in shell.type("status", "--batch", "nobody", code=2).err
    for verb in ("cancel", "retry"):
        assert "--batch" in shell.type(verb, code=2).err
    assert "--batch" in shell.type("fetch", "there", code=2).err
    assert "batch" in shell.type("submit", "--command", "true", "--batch", "", code=2).err
