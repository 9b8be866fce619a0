"""The Python API: `shoal.connect(...)`, on a real environment with real workers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import shoal
from shoal import Client, JobSpec, Status
from shoal.client import Progress
from shoal.core.errors import BucketError, EnvironmentMissing, JobNotFound, NotAllowed, SpecError
from shoal.local.environment import LocalEnvironment

PATIENCE_S = 60.0


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """An environment whose workers leave quickly, and that are gone at the end."""
    settings = tmp_path / "jobs" / ".shoal" / "shoal.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("linger_s = 0.0\nbackoff_base_s = 0.0\n")
    with shoal.connect(tmp_path / "jobs") as opened:
        yield opened
        give_up_at = time.monotonic() + PATIENCE_S
        while local(opened).fleet.size():
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        local(opened).fleet.take_failed()


def local(client: Client) -> LocalEnvironment:
    """The environment, which is a folder."""
    assert isinstance(client.environment, LocalEnvironment)
    return client.environment


def start_worker(client: Client) -> None:
    """Start a worker, which leaves when the queue is empty."""
    local(client).fleet.launch(1)


def command(job_id: str, script: str = "true", **keys: object) -> dict[str, object]:
    return {"job_id": job_id, "commands": [script], **keys}


def test_the_example_of_the_module_works(client: Client) -> None:
    """Jobs given as dicts are submitted, run, waited for, and listed with their status."""
    report = client.submit(command("a", "echo hello"), command("b", "exit 3"))
    assert (report.accepted, report.unchanged) == (2, 0)
    start_worker(client)
    progress = client.wait(timeout_s=PATIENCE_S)
    assert (progress.total, progress.over, progress.all_successful) == (2, 2, False)
    assert [(job.job_id, job.status) for job in client.jobs()] == [
        ("b", Status.FAILED),
        ("a", Status.SUCCESSFUL),
    ]
    assert b"".join(client.output("a")) == b"hello\n"


def test_specs_are_taken_as_well_as_dicts(client: Client) -> None:
    """A JobSpec is submitted as it is."""
    client.submit(JobSpec("a", commands=("true",), priority=3, batch="b"))
    assert client.job("a").spec == JobSpec("a", commands=("true",), priority=3, batch="b")


def test_one_bad_job_submits_none(client: Client) -> None:
    """A job that can't be accepted raises SpecError, and none of the call was submitted."""
    with pytest.raises(SpecError, match="comands"):
        client.submit(command("good"), {"job_id": "bad", "comands": ["true"]})
    with pytest.raises(SpecError, match="retry is -1"):
        client.submit(command("good"), JobSpec("bad", commands=("true",), retry=-1))
    assert client.counts().total == 0


def test_many_jobs_are_taken_as_they_come(client: Client) -> None:
    """submit_many takes any iterable, and counts what was there already."""
    specs = [JobSpec(f"j{number}", commands=("true",)) for number in range(25_000)]
    assert client.submit_many(iter(specs)) == (25_000, 0)
    assert client.submit_many(specs[-10:]) == (0, 10)
    assert client.counts().by_status[Status.QUEUED] == 25_000


def test_connecting_where_there_is_nothing(tmp_path: Path) -> None:
    """connect makes a folder an environment, unless it is told not to."""
    with pytest.raises(EnvironmentMissing, match="is not a Shoal environment yet"):
        shoal.connect(tmp_path / "new", create=False)
    assert not (tmp_path / "new").exists()
    shoal.connect(tmp_path / "new").close()
    shoal.connect(str(tmp_path / "new"), create=False).close()


def test_the_variable_names_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name, connect takes SHOAL_ENV, else the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SHOAL_ENV", raising=False)
    with shoal.connect() as client:
        assert local(client).layout.root == tmp_path
    monkeypatch.setenv("SHOAL_ENV", "other")
    with shoal.connect() as client:
        assert local(client).layout.root == tmp_path / "other"


def test_jobs_are_chosen_by_glob_status_and_number(client: Client) -> None:
    """jobs() filters by pattern, status and limit, the newest first."""
    client.submit(*(command(name) for name in ("a/1", "a/2", "b/1", "[x]")))
    client.cancel("a/1")

    def names(*args: object, **kwargs: object) -> list[str]:
        return [job.job_id for job in client.jobs(*args, **kwargs)]  # type: ignore[arg-type]

    assert names() == ["[x]", "b/1", "a/2", "a/1"]
    assert names("a/*") == ["a/2", "a/1"]
    assert names(statuses=[Status.CANCELLED]) == ["a/1"]
    assert names("*/1", statuses=[Status.QUEUED]) == ["b/1"]
    assert names(limit=2) == ["[x]", "b/1"]
    assert [job.job_id for job in client.select(["[x]", "a/*", "a/1"])] == ["[x]", "a/2", "a/1"]


def test_an_unknown_job_raises(client: Client) -> None:
    """An id or a pattern that fits no job raises JobNotFound, whatever was asked."""
    for call in (client.job, client.cancel, client.retry):
        with pytest.raises(JobNotFound):
            call("nobody")
    with pytest.raises(JobNotFound, match="no job matches"):
        client.select(["nobody*"])
    client.submit(command("a"))
    with pytest.raises(JobNotFound, match=r"no attempt 1\.5"):
        client.log(client.job("a"), shoal.core.job.Token(1, 5))


def test_wait_gives_up_in_time_and_shows_progress(client: Client) -> None:
    """wait returns when its time is up, and tells how far things are whenever it looks."""
    client.submit(command("a"))
    seen: list[Progress] = []
    progress = client.wait(["a"], timeout_s=0.01, on_progress=seen.append)
    assert (progress.over, progress.total) == (0, 1)
    assert not progress.all_successful
    assert seen[0].by_status[Status.QUEUED] == 1


def test_wait_ends_when_the_last_job_does(client: Client) -> None:
    """wait for some jobs returns when those are over, though others are not."""
    client.submit(command("mine"), command("other", priority=-1))
    client.pause()
    waiter = threading.Timer(0.2, client_in_thread, [local(client).layout.root])
    waiter.start()
    try:
        assert client.wait(["mine"], timeout_s=PATIENCE_S).all_successful
    finally:
        waiter.join()
    client.cancel("o*")


def client_in_thread(root: Path) -> None:
    """What another user does meanwhile: let the jobs start, with a worker."""
    with shoal.connect(root) as client:
        client.resume()
        done = subprocess.run(
            [sys.executable, "-m", "shoal.cli.worker", str(root), "w-test"], check=False
        )
        assert done.returncode == 0


def test_cancel_and_retry_go_by_id_or_glob(client: Client) -> None:
    """cancel and retry return what they changed; an id for which it makes no sense raises."""
    client.submit(command("a"), command("b"))
    assert [job.job_id for job in client.cancel("a")] == ["a"]
    with pytest.raises(NotAllowed, match="nothing left to cancel"):
        client.cancel("a")
    assert [job.job_id for job in client.cancel("*")] == ["b"]
    assert {(job.job_id, job.run, job.status) for job in client.retry("a", "b*")} == {
        ("a", 2, Status.QUEUED),
        ("b", 2, Status.QUEUED),
    }
    with pytest.raises(NotAllowed, match="is Queued"):
        client.retry("a")
    client.cancel("*")


def test_pause_and_resume_show(client: Client) -> None:
    """A pause lasts until resume, and can be asked for."""
    assert not client.is_paused()
    client.pause()
    client.pause()
    assert client.is_paused()
    client.resume()
    assert not client.is_paused()


def test_attempts_and_settlements_tell_what_happened(client: Client) -> None:
    """attempts lists each attempt of a job; settlements has one entry for the run."""
    client.submit(command("a", "test $SHOAL_ATTEMPT = 2", retry=1))
    start_worker(client)
    assert client.wait(timeout_s=PATIENCE_S).all_successful
    attempts = client.attempts("a")
    assert [(of.token, of.ending, of.exit_code) for of in attempts] == [
        ((1, 1), "failed", 1),
        ((1, 2), "successful", 0),
    ]
    (settlement,) = client.settlements()
    assert (settlement.job_id, settlement.status) == ("a", Status.SUCCESSFUL)
    assert list(client.settlements(settlement.cursor)) == []


def test_settlements_can_be_followed(client: Client) -> None:
    """Following settlements gives each as it comes."""
    following = client.settlements(follow=True)
    for name in ("a", "b"):
        client.submit(command(name))
        start_worker(client)
        assert next(following).job_id == name


def test_a_folder_is_submitted_with_options(client: Client, tmp_path: Path) -> None:
    """submit_folder copies a folder in, runs each executable in it, and fetch gets the results."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "in.txt").write_text("input")
    for name in ("one", "two"):
        (folder / f"{name}.sh").write_text(f"cat in.txt > {name}.txt")
    assert client.submit_folder(folder, retry=2, tags={"k": "v"}) == ["mine/one.sh", "mine/two.sh"]
    assert (client.job("mine/one.sh").spec.retry, client.job("mine/two.sh").spec.tags) == (
        2,
        {"k": "v"},
    )
    start_worker(client)
    assert client.wait(["mine/*"], timeout_s=PATIENCE_S).all_successful
    fetched = client.fetch(["mine/*"], tmp_path / "to")
    assert sorted({path.name for path in fetched}) == ["one.txt", "two.txt"]
    assert all(path.read_text() == "input" for path in fetched)
    with pytest.raises(BucketError, match="already"):
        client.submit_folder(folder)


def test_workers_are_listed_while_they_live(client: Client, tmp_path: Path) -> None:
    """workers() names who works; is_supervised is about `shoal up` alone."""
    assert client.workers() == []
    client.submit(command("a", f"until test -e {tmp_path}/go; do sleep 0.01; done"))
    start_worker(client)
    give_up_at = time.monotonic() + PATIENCE_S
    while client.job("a").status != Status.STARTED:
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    (worker,) = client.workers()
    assert worker.worker.startswith("w-")
    assert not client.is_supervised()
    (tmp_path / "go").touch()
    assert client.wait(timeout_s=PATIENCE_S).all_successful


def test_the_package_offers_what_it_lists() -> None:
    """Each name in shoal.__all__ can be imported from it, and others can't."""
    for name in shoal.__all__:
        assert getattr(shoal, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        shoal.nonsense  # noqa: B018


# --- batches ------------------------------------------------------------------------------------


def test_a_submission_is_a_batch(client: Client) -> None:
    """Jobs submitted in one call share a new batch, unless they name one."""
    job = {"commands": ["true"]}
    client.submit(*({"job_id": of, **job} for of in "ab"), {"job_id": "c", "batch": "own", **job})
    client.submit({"job_id": "d", **job}, batch="named")
    first, second, own, named = (client.job(of).spec.batch for of in "abcd")
    assert first == second != ""
    assert (own, named) == ("own", "named")
    assert {job.job_id for job in client.select([], batch=first)} == {"a", "b"}
    assert [job.job_id for job in client.select(["*"], batch="own")] == ["c"]
    assert client.counts("named").total == 1
    client.submit({"job_id": "e", **job})
    assert client.job("e").spec.batch not in (first, "")


def test_a_batch_that_is_not_there(client: Client) -> None:
    """A batch without jobs is most likely a slip of the pen, and nothing to wait for."""
    client.submit({"job_id": "a", "commands": ["true"]})
    for ask in (client.wait, client.cancel, client.retry):
        with pytest.raises(JobNotFound, match="no job of batch 'b'"):
            ask(batch="b")
    with pytest.raises(SpecError, match="batch"):
        client.submit({"job_id": "b", "commands": ["true"]}, batch="")


def test_who_names_jobs_of_a_batch_means_some_of_it(client: Client) -> None:
    """A name of none of the batch's jobs is an error: nothing would be waited for, or changed."""
    for batch in ("x", "y"):
        client.submit({"job_id": f"{batch}1", "commands": ["true"]}, batch=batch)
    for name in ("y1", "y*"):
        with pytest.raises(JobNotFound, match="of batch 'x'"):
            client.wait([name], batch="x")
        with pytest.raises(JobNotFound, match="of batch 'x'"):
            client.cancel(name, batch="x")
    assert [job.job_id for job in client.cancel("*", batch="x")] == ["x1"]
    assert client.wait(["x1"], batch="x").over == 1


def test_a_batch_is_changed_as_one(client: Client) -> None:
    """A batch is cancelled and tried again as a whole; who is not of it stays as it is."""
    client.submit(*({"job_id": of, "commands": ["true"]} for of in "ab"), batch="x")
    client.submit({"job_id": "c", "commands": ["true"]})
    assert {job.job_id for job in client.cancel(batch="x")} == {"a", "b"}
    assert client.wait(batch="x").over == 2
    assert {job.job_id for job in client.retry("a", batch="x")} == {"a"}
    assert client.counts().by_status == {
        Status.QUEUED: 2,
        Status.STARTED: 0,
        Status.SUCCESSFUL: 0,
        Status.FAILED: 0,
        Status.CANCELLED: 1,
    }


def test_a_search_for_one_success(client: Client) -> None:
    """With `stop_on_success` every job of a submission says so."""
    client.submit(*({"job_id": of, "commands": ["true"]} for of in "ab"), stop_on_success=True)
    assert all(job.spec.stop_on_success for job in client.jobs())
