"""Pipelines between a folder and a stack, with the workers' part played by the test."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

import shoal
from shoal import Client, Status
from shoal.aws import names
from shoal.aws.environment import AwsEnvironment
from shoal.aws.notes import HOLD_S
from shoal.cli.main import cli
from shoal.core.confirm import Outcome
from shoal.core.errors import BucketError, EnvironmentBusy, SettingsError
from shoal.environment import open_environment
from shoal.pipeline.ledger import TOPIC, held_runs
from shoal.pipeline.passing import Pipeline
from shoal.pipeline.route import Route

from .emulator import Emulator
from .small_stack import FLEET, SCHEDULER, stand

SUCCESS = Outcome(True, "", 0)


@pytest.fixture
def stack(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of the fleet."""
    stand(emulator)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    for name, value in emulator.session_env().items():
        monkeypatch.setenv(name, value)
    with shoal.connect(f"aws:{FLEET}") as opened:
        yield opened
        live = opened.jobs(statuses=(Status.QUEUED, Status.STARTED))
        opened.environment.store.cancel_many([job.job_id for job in live], time.time())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A local environment."""
    shoal.connect(tmp_path / "local").close()
    return tmp_path / "local"


@pytest.fixture
def name() -> str:
    """A job folder's name that no other test uses."""
    return f"p{uuid.uuid4().hex[:8]}"


@pytest.fixture
def executable(tmp_path: Path) -> Path:
    path = tmp_path / "next.sh"
    path.write_text("echo next\n")
    return path


def make(at: Path, *files: str) -> Path:
    """A job folder with these files, and an executable."""
    for file in (*files, "run.sh"):
        (at / file).parent.mkdir(parents=True, exist_ok=True)
        (at / file).write_text(file)
    return at


def end(client: Client, path: Path | str, **options: str) -> None:
    """Submit a job folder, and end its attempt as a worker does."""
    (job_id,) = client.submit_folder(path, **options)
    store = client.environment.store
    give_up_at = time.monotonic() + 60.0
    while (job := store.claim("i-1", time.time(), 600.0)) is None or job.job_id != job_id:
        assert time.monotonic() < give_up_at, "it does not come"
    store.settle(job, SUCCESS, time.time(), 0.0, None)


def pass_on(source: str, to: str, executable: Path, said: list[str] | None = None) -> int:
    """What `shoal relay` does."""
    with closing(open_environment(source)) as opened:
        route = Route(to, executable, ("*",))
        pipeline = Pipeline(opened, route, (said if said is not None else []).append)
        pipeline.check()
        return pipeline.pass_on()


def test_from_a_folder_to_a_stack(
    emulator: Emulator, stack: Client, folder: Path, name: str, executable: Path
) -> None:
    """Objects appear in the bucket, none starts a job by itself, and each run is one job."""
    with shoal.connect(folder) as local:
        end(local, make(folder / name, "data", "deep/data"), batch="monday")
        (folder / "bad").mkdir()
        (folder / "bad" / "\udcff").write_text("x")
        end(local, make(folder / "bad"))
    said: list[str] = []
    assert pass_on(str(folder), f"aws:{FLEET}", executable, said) == 1
    job = stack.job(f"{name}/next.sh")
    assert (job.run, job.status, job.spec.batch) == (1, Status.QUEUED, "monday")
    s3, bucket = emulator.client("s3"), names.drop_bucket(FLEET, emulator.account)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{name}/")["Contents"]
    assert {of["Key"] for of in listed} == {
        f"{name}/{file}" for file in ("data", "deep/data", "next.sh")
    }
    head = s3.head_object(Bucket=bucket, Key=f"{name}/next.sh")
    assert head["Metadata"][names.MARK] == names.SUBMITTED
    assert any("'bad/run.sh', run 1" in line and "not valid UTF-8" in line for line in said)
    with closing(open_environment(str(folder))) as source:
        for key in source.notes.read(TOPIC):
            source.notes.write(TOPIC, key, None)
    assert pass_on(str(folder), f"aws:{FLEET}", executable) == 0
    assert stack.job(f"{name}/next.sh").run == 1


def test_from_a_stack_to_a_folder(
    stack: Client, folder: Path, name: str, executable: Path, tmp_path: Path
) -> None:
    """`shoal relay` with options does it from any machine; its cursor is kept in the stack."""
    end(stack, make(tmp_path / name, "data", "deep/data"))
    words = ["relay", "-e", f"aws:{FLEET}", "--to", str(folder), "--executable", str(executable)]
    for _ in range(2):
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        assert done.exception is None, done.output
    with shoal.connect(folder) as local:
        assert local.job(f"{name}/next.sh").run == 1
        assert (folder / name / "deep/data").read_text() == "deep/data"
        assert sorted(path.name for path in (folder / name).iterdir()) == [
            "data",
            "deep",
            "next.sh",
        ]
    # What other tests have left may be held.
    assert not [run for run in held_runs(stack.environment) if run.job_id.startswith(name)]


def test_a_run_of_a_stack_again(stack: Client, folder: Path, name: str, executable: Path) -> None:
    """A job that runs again in the stack is passed on again, and only then."""
    make(folder.parent / name, "data")
    end(stack, folder.parent / name)
    passed = pass_on(f"aws:{FLEET}", str(folder), executable)
    assert passed >= 1  # with what other tests have left
    on_aws = stack.environment
    assert isinstance(on_aws, AwsEnvironment)
    s3 = on_aws.target.session.client("s3")
    s3.put_object(Bucket=on_aws.target.bucket, Key=f"{name}/data", Body=b"new")
    s3.put_object(Bucket=on_aws.target.bucket, Key=f"{name}/run.sh", Body=b"again")
    end(stack, f"s3://{on_aws.target.bucket}/{name}")
    assert pass_on(f"aws:{FLEET}", str(folder), executable) == 1
    assert pass_on(f"aws:{FLEET}", str(folder), executable) == 0
    with shoal.connect(folder) as local:
        assert local.job(f"{name}/next.sh").run == 2
    assert (folder / name / "data").read_text() == "new"


def test_one_at_a_time_for_a_stack(stack: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold keeps others out until it is given back, or until it ends with who had it."""
    notes = stack.environment.notes
    with notes.hold("topic") as beat:
        beat()
        with pytest.raises(EnvironmentBusy), notes.hold("topic"):
            pass
    with notes.hold("topic") as lost:
        now, monotonic = time.time(), time.monotonic()
        monkeypatch.setattr(time, "time", lambda: now + HOLD_S + 1)
        with notes.hold("topic"):
            monkeypatch.setattr(time, "monotonic", lambda: monotonic + HOLD_S)
            with pytest.raises(EnvironmentBusy):
                lost()
    assert notes.write_once("topic", "key", "first") == "first"
    assert notes.write_once("topic", "key", "second") == "first"
    notes.write("topic", "key", None)
    assert notes.read("topic") == {}


def test_a_stack_without_a_bucket_is_refused(stack: Client, folder: Path, executable: Path) -> None:
    """A scheduler's own queue takes no job folders, which is told before anything is passed on."""
    with pytest.raises(BucketError, match="no bucket"):
        pass_on(str(folder), f"aws:{SCHEDULER}", executable)


def test_a_stack_does_not_lead_to_itself(stack: Client, executable: Path) -> None:
    """Also not by another way to write its name."""
    with pytest.raises(SettingsError, match="round for ever"):
        pass_on(f"aws:{FLEET}", f"aws:{FLEET}@us-east-1", executable)
