"""The client and the command line on a stack's name, with the workers' part played by the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import Client, JobSpec, Status
from shoal.aws import names
from shoal.aws.account import AwsUnusable
from shoal.aws.environment import AwsEnvironment
from shoal.aws.workers import Assignment
from shoal.core.confirm import Outcome
from shoal.core.errors import BucketError, EnvironmentMissing, SpecError
from shoal.core.job import Job

from .emulator import Emulator
from .small_stack import FLEET, SCHEDULER, create, fleet_template, stand

SUCCESS = Outcome(True, "", 0)


@pytest.fixture(scope="module")
def stacks(emulator: Emulator) -> Emulator:
    """A scheduler stack and a fleet of it."""
    stand(emulator)
    return emulator


@pytest.fixture
def client(stacks: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of the fleet, in an account where no test has left anything."""
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    for name, value in stacks.session_env().items():
        monkeypatch.setenv(name, value)
    with shoal.connect(f"aws:{FLEET}") as opened:
        yield opened
        live = opened.jobs(statuses=(Status.QUEUED, Status.STARTED))
        opened.environment.store.cancel_many([job.job_id for job in live], time.time())


@pytest.fixture
def name() -> str:
    """A prefix that no other test's jobs have."""
    return f"t{uuid.uuid4().hex[:8]}"


def on_aws(client: Client) -> AwsEnvironment:
    assert isinstance(client.environment, AwsEnvironment)
    return client.environment


def folder(at: Path, script: str = "true", **inputs: str) -> Path:
    """A job folder, here."""
    at.mkdir(parents=True)
    (at / "run.sh").write_text(script)
    for file, text in inputs.items():
        (at / file).write_text(text)
    return at


def start(client: Client, job_id: str, worker: str, command_id: str) -> Job:
    """Do what the scheduler's functions do when a worker takes a job."""
    store = on_aws(client).store
    while (job := store.claim(worker, time.time(), 600.0)) is not None:
        if job.job_id == job_id:
            break
    assert job is not None
    assignment = Assignment(worker, job_id, str(job.token), None, "token", time.time())
    store.workers.sent(store.workers.assign(assignment), command_id)
    return job


def settle(client: Client, job: Job) -> None:
    on_aws(client).store.settle(job, SUCCESS, time.time(), 0.0, None)


class Output:
    """The output of a command, as SSM puts it into CloudWatch Logs and S3."""

    def __init__(self, emulator: Emulator, command_id: str, worker: str) -> None:
        self._logs, self._s3 = emulator.client("logs"), emulator.client("s3")
        self._bucket = names.log_bucket(SCHEDULER, emulator.account)
        self._key = f"{FLEET}-job-queue/{command_id}/{worker}/awsrunShellScript/0.awsrunShellScript"
        self._group = names.log_group(SCHEDULER)
        self._stream = f"{command_id}/{worker}/aws-runShellScript/stdout"

    def stream(self, *lines: str) -> None:
        for call, arguments in (
            (self._logs.create_log_group, {}),
            (self._logs.create_log_stream, {"logStreamName": self._stream}),
        ):
            try:
                call(logGroupName=self._group, **arguments)
            except self._logs.exceptions.ResourceAlreadyExistsException:
                pass
        events = [{"timestamp": int(time.time() * 1000), "message": line} for line in lines]
        self._logs.put_log_events(
            logGroupName=self._group, logStreamName=self._stream, logEvents=events
        )

    def save(self, stdout: bytes, stderr: bytes = b"") -> None:
        for kind, content in (("stdout", stdout), ("stderr", stderr)):
            if content:
                self._s3.put_object(Bucket=self._bucket, Key=f"{self._key}/{kind}", Body=content)


# --- names --------------------------------------------------------------------------------------


def test_a_stack_that_is_not_there(client: Client) -> None:
    """The error names the stacks that are Shoal's."""
    with pytest.raises(EnvironmentMissing, match=f"there are .*{FLEET}.*{SCHEDULER}"):
        shoal.connect("aws:nobody")


def test_a_stack_of_others(stacks: Emulator, client: Client) -> None:
    """A stack that is none of Shoal's is not used."""
    body = {"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}, "Outputs": {"A": {"Value": "b"}}}
    create(stacks, "others", body)
    with pytest.raises(EnvironmentMissing, match="none of Shoal's"):
        shoal.connect("aws:others")


def test_the_region_is_part_of_the_name(client: Client) -> None:
    """`@region` says where; the name that an environment gives has it."""
    with shoal.connect(f"aws:{FLEET}@us-east-1") as other:
        assert other.environment.name == client.environment.name == f"aws:{FLEET}@us-east-1"


def test_a_missing_part_of_a_stack(stacks: Emulator, client: Client) -> None:
    """A table that is gone is told as such, with what brings it back."""
    resources = {"Q": {"Type": "AWS::SQS::Queue"}}
    create(stacks, "half", {**fleet_template(stacks), "Resources": resources}, TagKey="gone")
    with shoal.connect("aws:half") as half, pytest.raises(AwsUnusable, match="shoal deploy"):
        half.counts()


def test_a_call_that_is_not_allowed(
    stacks: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A denied call names the action."""
    iam = stacks.client("iam")
    iam.create_user(UserName="reader")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "cloudformation:Describe*", "Resource": "*"},
        ],
    }
    iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    with shoal.connect(f"aws:{FLEET}") as reader, pytest.raises(AwsUnusable, match="dynamodb:"):
        reader.counts()


# --- submit -------------------------------------------------------------------------------------


def test_a_folder_is_uploaded_and_submitted(
    stacks: Emulator, client: Client, tmp_path: Path, name: str
) -> None:
    """All of a folder is in the bucket, its executable marked, and its job queued with options."""
    made = folder(tmp_path / name, "echo", data="1")
    (made / "sub").mkdir()
    (made / "sub" / "tool.sh").write_text("echo")
    assert client.submit_folder(made, tags={"k": "v"}) == [f"{name}/run.sh"]
    job = client.job(f"{name}/run.sh")
    assert (job.status, job.spec.retry, job.spec.tags) == (Status.QUEUED, 3, {"k": "v"})
    assert (job.spec.folder, job.spec.executable) == (name, "run.sh")
    s3 = stacks.client("s3")
    bucket = names.drop_bucket(FLEET, stacks.account)
    heads = {
        key: s3.head_object(Bucket=bucket, Key=f"{name}/{key}")["Metadata"].get("shoal")
        for key in ("run.sh", "data", "sub/tool.sh")
    }
    assert heads == {"run.sh": "submitted", "data": None, "sub/tool.sh": "submitted"}
    with pytest.raises(BucketError, match=f"already: .*s3://{bucket}/{name}"):
        client.submit_folder(made)


def test_many_folders_are_submitted_together(client: Client, tmp_path: Path, name: str) -> None:
    """Progress counts the jobs; two folders of one name, or a bad option, submit none."""
    made = [folder(tmp_path / f"{name}-{number}", data="1") for number in range(60)]
    with pytest.raises(SpecError, match="retry"):
        client.submit_folders(made, {"retry": -1})
    with pytest.raises(BucketError, match="two folders"):
        client.submit_folders([*made, folder(tmp_path / "other" / f"{name}-0")])
    seen: list[int] = []
    assert len(client.submit_folders(made, on_progress=seen.append)) == 60
    assert seen == [50, 60]
    assert len(client.jobs(f"{name}-*")) == 60


def test_a_folder_that_cannot_be_uploaded_leaves_nothing(
    stacks: Emulator, client: Client, tmp_path: Path, name: str
) -> None:
    """When one file can't be read, what was uploaded is removed, and no job is there."""
    made = folder(tmp_path / name, data="1", more="2")
    (made / "run.sh").unlink()
    (made / "run.sh").write_text("x")
    bucket = on_aws(client).folders._get_bucket()

    def fail(file: str, key: str) -> str:
        raise OSError("the disk is gone")

    bucket.put_submitted = fail  # type: ignore[method-assign]
    with pytest.raises(OSError, match="the disk is gone"):
        client.submit_folder(made)
    assert list(bucket.keys(f"{name}/")) == []
    assert client.jobs(f"{name}/*") == []


def test_a_folder_in_the_bucket_is_submitted(stacks: Emulator, client: Client, name: str) -> None:
    """Executables that lie in the bucket are submitted by its address, results are not."""
    s3, bucket = stacks.client("s3"), names.drop_bucket(FLEET, stacks.account)
    s3.put_object(Bucket=bucket, Key=f"{name}/a b+%.sh", Body=b"echo")
    s3.put_object(Bucket=bucket, Key=f"{name}/made.sh", Body=b"x", Metadata={"shoal": "1.1"})
    s3.put_object(Bucket=bucket, Key=f"{name}/deep/x.sh", Body=b"x")
    assert client.submit_folder(f"s3://{bucket}/{name}/") == [f"{name}/a b+%.sh"]
    with pytest.raises(BucketError, match="holds no executable"):
        client.submit_folder(f"s3://{bucket}/{name}/nowhere")
    with pytest.raises(BucketError, match=f"begin with s3://{bucket}/"):
        client.submit_folder("s3://elsewhere/x")


def test_a_scheduler_stack_takes_commands_only(client: Client, tmp_path: Path, name: str) -> None:
    """A stack without a bucket says so of folders; commands go to its own queue."""
    with shoal.connect(f"aws:{SCHEDULER}") as alone:
        with pytest.raises(BucketError, match="has no bucket"):
            alone.submit_folder(folder(tmp_path / name))
        alone.submit({"job_id": name, "commands": ["true"]})
        assert [job.job_id for job in alone.jobs(name)] == [name]
        alone.cancel(name)
    assert client.jobs(name) == []


def test_progress_of_a_bulk_submission(client: Client, name: str) -> None:
    """submit_many tells how many jobs were taken, up to all of them."""
    specs = [JobSpec(f"{name}-{number}", commands=("true",)) for number in range(250)]
    seen: list[int] = []
    assert client.submit_many(specs, on_progress=seen.append).accepted == 250
    assert seen == [100, 200, 250]


# --- results and output -------------------------------------------------------------------------


def test_results_are_fetched(stacks: Emulator, client: Client, tmp_path: Path, name: str) -> None:
    """What attempts have uploaded comes, inputs don't; a name that would leave is refused."""
    (job_id,) = client.submit_folder(folder(tmp_path / name, data="1"))
    s3, bucket = stacks.client("s3"), names.drop_bucket(FLEET, stacks.account)
    mark = f"{names.short_hash(job_id)}-1.2"
    for key in ("out.txt", "sub/ü $(x).sh"):
        s3.put_object(Bucket=bucket, Key=f"{name}/{key}", Body=b"r", Metadata={"shoal": mark})
    fetched = client.fetch([job_id], tmp_path / "to")
    assert sorted(path.relative_to(tmp_path / "to").as_posix() for path in fetched) == [
        f"{name}/out.txt",
        f"{name}/sub/ü $(x).sh",
    ]
    assert all(path.read_bytes() == b"r" for path in fetched)
    s3.put_object(Bucket=bucket, Key=f"{name}/../../up", Body=b"r", Metadata={"shoal": mark})
    with pytest.raises(BucketError, match="would leave"):
        client.fetch([job_id], tmp_path / "to")
    assert not (tmp_path / "up").exists()
    s3.delete_object(Bucket=bucket, Key=f"{name}/../../up")


def test_output_is_followed_and_then_completed(stacks: Emulator, client: Client, name: str) -> None:
    """Following shows lines as they are streamed, then goes on in the whole, without a double."""
    client.submit({"job_id": name, "commands": ["x"], "priority": 9})
    assert b"".join(client.output(name)) == b""
    job = start(client, name, "i-0a", f"command-{name}")
    output = Output(stacks, f"command-{name}", "i-0a")
    assert b"".join(client.output(name)) == b""
    output.stream("one", "two")
    assert b"".join(client.output(name)) == b"one\ntwo\n"
    pieces: list[bytes] = []
    follower = threading.Thread(target=lambda: pieces.extend(client.output(name, follow=True)))
    follower.start()
    while b"".join(pieces) != b"one\ntwo\n":
        assert follower.is_alive()
        time.sleep(0.05)
    output.stream("three")
    output.save(b"one\ntwo\nthree\n  four", b"and an error\n")
    settle(client, job)
    follower.join(20)
    assert b"".join(pieces) == b"one\ntwo\nthree\n  fourand an error\n"
    assert b"".join(client.output(name)) == b"one\ntwo\nthree\n  fourand an error\n"
    log = client.log(client.job(name))
    assert log is not None
    assert log.location.endswith(f"-logs/{FLEET}-job-queue/command-{name}/i-0a/")


def test_output_of_a_lost_worker_is_what_was_streamed(
    stacks: Emulator, client: Client, name: str
) -> None:
    """A machine that went away saved nothing; what it had streamed is still there."""
    client.submit({"job_id": name, "commands": ["x"], "priority": 9})
    job = start(client, name, "i-0b", f"command-{name}")
    Output(stacks, f"command-{name}", "i-0b").stream("so far")
    on_aws(client).store.interrupt(job, "gone", time.time(), 20, 600.0)
    assert b"".join(client.output(name, job.token)) == b"so far\n"


# --- waiting, workers, doctor -------------------------------------------------------------------


def test_wait_looks_from_time_to_time(client: Client, name: str) -> None:
    """wait returns soon after the last job is over, and in time when it isn't."""
    client.submit({"job_id": name, "commands": ["x"], "priority": 9})
    assert client.wait([name], timeout_s=0.1).over == 0
    job = start(client, name, "i-0c", "c")
    threading.Timer(0.5, settle, [client, job]).start()
    began = time.monotonic()
    assert client.wait([name], timeout_s=60).all_successful
    assert time.monotonic() - began < 5


def test_workers_are_the_machines_with_the_tag(stacks: Emulator, client: Client) -> None:
    """Whatever launched it, a machine with the tag is a worker; others are not."""
    ec2 = stacks.client("ec2")

    def launch(tag: str) -> str:
        tags = [{"Key": SCHEDULER, "Value": tag}]
        launched = ec2.run_instances(
            ImageId="ami-12345678",
            InstanceType="m7g.large",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
        return str(launched["Instances"][0]["InstanceId"])

    mine, other = launch(f"{FLEET}-job-queue"), launch("another-job-queue")
    try:
        (worker,) = client.workers()
        assert (worker.worker, worker.pid) == (mine, None)
        assert worker.host.startswith("m7g.large")
        assert client.is_supervised()
    finally:
        ec2.terminate_instances(InstanceIds=[mine, other])
    assert client.workers() == []


# --- the command line ---------------------------------------------------------------------------


def type_shoal(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "shoal.cli.main", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "SHOAL_ENV": f"aws:{FLEET}"},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, done.stderr
    return done


def read_json(*words: str) -> Any:
    return json.loads(type_shoal(*words, "--json").stdout)


def test_every_verb_knows_stacks(client: Client, tmp_path: Path, name: str) -> None:
    """From submission to results, each verb does its part on a stack's name."""
    made = folder(tmp_path / name, data="1")
    assert type_shoal("submit", str(made), "--priority", "9").stdout == f"{name}/run.sh\n"
    listed = read_json("status", f"{name}/*")
    assert [job["Status"] for job in listed["jobs"]] == ["Queued"]
    assert type_shoal("cancel", f"{name}/*").stdout == f"{name}/run.sh\n"
    assert type_shoal("retry", f"{name}/run.sh").stdout == f"{name}/run.sh\n"
    type_shoal("pause")
    assert read_json("status")["paused"]
    type_shoal("resume")
    assert read_json("workers") == []
    assert "there is nothing to do" in type_shoal("workers").stderr
    assert "not started yet" in type_shoal("logs", f"{name}/run.sh").stderr
    events = [json.loads(line) for line in type_shoal("events", "--json").stdout.splitlines()]
    assert (events[-1]["job_id"], events[-1]["queue"]) == (f"{name}/run.sh", "cancelled")
    settle(client, start(client, f"{name}/run.sh", "i-0d", "c"))
    type_shoal("wait", f"{name}/run.sh")
    status = read_json("status", f"{name}/run.sh")
    assert [attempt["instance_id"] for attempt in status["attempts"]] == ["i-0d"]
    assert "/c/i-0d/" in status["Output_Logs"]
    assert type_shoal("fetch", f"{name}/run.sh", str(tmp_path / "to")).returncode == 0
    type_shoal("submit", "--command", "true", "--id", name)
    assert type_shoal("status", name).stdout.startswith(f"{name} is Queued")


def test_config_shows_the_parameters(client: Client) -> None:
    """The parameters of the fleet and of its scheduler stack, with where each value is from."""
    found = read_json("config")
    assert (found["environment"], found["file"]) == (f"aws:{FLEET}@us-east-1", None)
    settings = found["settings"]
    assert settings["Retry"] == {"value": "3", "source": f"parameter of stack {FLEET}"}
    assert settings["TriggerSuffix"] == {"value": ".sh", "source": f"default of stack {FLEET}"}
    assert settings["TimeoutJob"]["source"] == f"default of stack {SCHEDULER}"


def test_up_is_for_folders(client: Client) -> None:
    """`up` has nothing to do on a stack, and says so."""
    assert "is no folder" in type_shoal("up", code=3).stderr


def test_a_person_is_not_told_to_start_what_the_cloud_does(client: Client, name: str) -> None:
    """Workers come by themselves: no verb asks for `shoal up`."""
    said = type_shoal("submit", "--command", "true", "--id", name).stderr
    said += type_shoal("status").stderr
    assert "shoal up" not in said


# --- the audit ----------------------------------------------------------------------------------


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is too young to be looked at."""
    monkeypatch.setattr("shoal.aws.doctor.SETTLE_S", -5.0)


def findings(client: Client) -> dict[str, Any]:
    return {finding.what: finding for finding in client.environment.doctor().examine()}


def test_the_audit_counts_every_run(client: Client, name: str) -> None:
    """Submitted runs are successful, failed, cancelled, queued or started; else one is missing."""
    client.submit(*({"job_id": f"{name}-{n}", "commands": ["x"], "priority": 9} for n in range(3)))
    settle(client, start(client, f"{name}-0", "i-0e", "c"))
    client.cancel(f"{name}-1")
    client.retry(f"{name}-1")
    account = client.environment.doctor().account()
    assert account.missing == 0
    assert account.submitted >= 4
    found = type_shoal("doctor", "--json")
    assert json.loads(found.stdout)["account"]["missing"] == 0


def test_a_started_job_without_a_worker_is_queued_again(
    client: Client, name: str, old: None
) -> None:
    """The job of a machine that is gone is found, and its fix queues it again, uncounted."""
    client.submit({"job_id": name, "commands": ["x"], "priority": 9})
    start(client, name, "i-0f", "c")
    (finding,) = (of for what, of in findings(client).items() if name in what)
    assert finding.code == "orphaned"
    assert "i-0f, which is gone" in finding.what
    finding.fix()
    job = client.job(name)
    assert (job.status, job.failures, job.interruptions) == (Status.QUEUED, 0, 1)


def test_an_executable_that_is_no_job_is_taken_in(
    stacks: Emulator, client: Client, name: str, old: None
) -> None:
    """What the intake function has missed is found, what it leaves alone is not."""
    s3, bucket = stacks.client("s3"), names.drop_bucket(FLEET, stacks.account)
    s3.put_object(Bucket=bucket, Key=f"{name}/run.sh", Body=b"echo")
    s3.put_object(Bucket=bucket, Key=f"{name}/out.sh", Body=b"echo", Metadata={"shoal": "1.1"})
    (finding,) = (of for what, of in findings(client).items() if name in what)
    assert finding.code == "waiting"
    finding.fix()
    assert client.job(f"{name}/run.sh").status == Status.QUEUED
    assert not [what for what in findings(client) if name in what]


def test_jobs_that_nobody_can_take_get_their_tickets_back(
    stacks: Emulator, client: Client, name: str, old: None
) -> None:
    """Queued jobs beside an empty queue are found, and can be taken after the fix."""
    store = on_aws(client).store
    while store.claim("i-drain", time.time(), 600.0) is not None:
        pass
    client.submit({"job_id": name, "commands": ["x"]})
    sqs = stacks.client("sqs")
    url = sqs.get_queue_url(QueueName=names.default_queue(FLEET))["QueueUrl"]
    sqs.purge_queue(QueueUrl=url)
    (finding,) = (of for of in findings(client).values() if "can't be taken" in of.what)
    finding.fix()
    taken = store.claim("i-0g", time.time(), 600.0)
    assert taken is not None
    assert taken.job_id == name
