"""What SSM is asked to run: documents, parameters, limits, and the jobs of the paper."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.aws.scripts import MAX_SCRIPT_BYTES, STAGING_S, Place, render
from shoal.core.errors import SpecError
from shoal.core.spec import POWERSHELL_DOCUMENT, SCRIPT_DOCUMENTS, SHELL_DOCUMENT, parse_job

from .machine import Machine, job

PLACE = Place("1.1", "drop", "/home/ec2-user/job", 60.0, "aws:stack")
REPLACED = re.compile(r"{{\s*[^{}]+?\s*}}")


@pytest.mark.parametrize("document", SCRIPT_DOCUMENTS)
def test_scripts_keep_their_document(document: str) -> None:
    """The two script documents get one script and a time limit, as texts in lists."""
    name, parameters = render(job(ssm_document=document, commands=["echo 1"]), PLACE)
    assert name == document
    assert parameters.keys() == {"commands", "executionTimeout"}
    assert [type(text) for text in parameters["commands"]] == [str]


@pytest.mark.parametrize(
    ("timeout_s", "direct", "with_folder"),
    [
        (60.0, "60", str(60 + STAGING_S)),
        (0.01, "5", str(STAGING_S + 1)),
        (90.5, "91", str(STAGING_S + 91)),
        (172_799.5, "172800", "172800"),
        (1e9, "172800", "172800"),
    ],
)
def test_the_time_limit_is_always_set(timeout_s: float, direct: str, with_folder: str) -> None:
    """Whole seconds that SSM accepts, with room for staging where there is a folder."""
    place = PLACE._replace(timeout_s=timeout_s)
    for document in SCRIPT_DOCUMENTS:
        spec = job(ssm_document=document, commands=["x"])
        assert render(spec, place)[1]["executionTimeout"] == [direct]
        spec = job(ssm_document=document, folder="jobs/1", executable="run")
        assert render(spec, place)[1]["executionTimeout"] == [with_folder]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SCRIPT_DOCUMENTS),
    st.lists(
        st.sampled_from(["{{ commands }}", "{{ssm:x}}", "{{{a}}}", "{", "{{", "'{{x}}'", "}}", "a"])
    ).map("".join),
)
def test_ssm_finds_nothing_to_replace(document: str, text: str) -> None:
    """Nothing a user writes reads as a placeholder, wherever it stands."""
    specs = [
        job(ssm_document=document, commands=[text], environment={f"A{text}": text}),
        job(
            job_id=f"j{text}",
            ssm_document=document,
            folder=f"jobs{text}",
            executable=f"x{text}",
            required_files=[f"r{text}"],
        ),
    ]
    for spec in specs:
        (script,) = render(spec, PLACE._replace(working_directory=f"/home/{text}"))[1]["commands"]
        assert not REPLACED.search(script)
        assert "{{" not in script


def test_other_documents_are_passed_as_they_are() -> None:
    """Any SSM document runs with the parameters of the job, and its commands if it has some."""
    spec = job(
        ssm_document="My-Document",
        parameters={"action": ["Install"], "names": ["a", "{{ssm:b}}"]},
    )
    assert render(spec, PLACE) == (
        "My-Document",
        {"action": ["Install"], "names": ["a", "{{ssm:b}}"]},
    )
    spec = job(ssm_document="My-Document", commands=["one", "two"])
    assert render(spec, PLACE) == ("My-Document", {"commands": ["one", "two"]})
    with pytest.raises(SpecError, match="can't stage a job folder"):
        render(job(ssm_document="My-Document", folder="jobs/1"), PLACE)


def test_a_job_folder_needs_a_bucket() -> None:
    """A job with a folder on a queue without a bucket is refused with the remedy."""
    with pytest.raises(SpecError, match=r"queue has no bucket: send it to"):
        render(job(folder="jobs/1", executable="run"), PLACE._replace(bucket=None))


@pytest.mark.parametrize("document", SCRIPT_DOCUMENTS)
def test_a_script_beyond_what_ssm_takes_is_refused(document: str) -> None:
    """The reason names the limit and the way round it; what is just below it passes."""
    with pytest.raises(SpecError, match=r"at most 60,000 bytes.*: put the commands into a file"):
        render(job(ssm_document=document, commands=["x" * 300_000]), PLACE)
    render(job(ssm_document=document, commands=["x" * (MAX_SCRIPT_BYTES - 10_000)]), PLACE)


# --- the paper's jobs -----------------------------------------------------------------------


def test_the_papers_direct_job_runs(tmp_path: Path) -> None:
    """The JSON of a direct job, sent as it is."""
    text = (
        '{"job_id": "jobId_0", "retry": "3", "job_success_string": " ",'
        ' "ssm_document": "AWS-RunShellScript", "commands": ["echo Hello World"]}'
    )
    assert Machine(tmp_path).run(parse_job(text)) == (0, "Hello World\n", "")


def test_a_direct_job_that_stages_for_itself_runs(tmp_path: Path) -> None:
    """Commands that make a folder, enter it and call the AWS CLI do so as they did."""
    machine = Machine(tmp_path)
    machine.put("jobs/date/jobId_0/jobId_0.sh", "echo ran > jobId_0.output")
    there = machine.working_directory
    ran = machine.sh(
        f"mkdir -p {there}; cd {there}",
        "aws s3 cp --recursive s3://drop/jobs/date/jobId_0/ ./",
        f"chmod +x {there}/jobId_0.sh",
        f"{there}/jobId_0.sh",
        "aws s3 cp --recursive ./ s3://drop/jobs/date/jobId_0/",
    )
    assert ran.code == 0
    assert machine.read("jobs/date/jobId_0/jobId_0.output") == "ran\n"


@pytest.mark.parametrize(
    "script",
    [
        "#!/bin/bash\ncp {there}/{name}.input {there}/{name}.output",
        "#!/bin/bash\ncp ./{name}.input ./{name}.output",
        "cat {name}.input > {there}/{name}.output",
    ],
)
def test_scripts_like_the_papers_run_unchanged(tmp_path: Path, script: str) -> None:
    """A dropped executable may call its files by the working directory's path, or by its own."""
    machine = Machine(tmp_path)
    key = "jobs/24-01-31/jobId_7/jobId_7"
    machine.put(f"{key}.input", "some input")
    machine.put(f"{key}.sh", script.format(there=machine.working_directory, name="jobId_7"))
    spec = job(job_id=f"{key}.sh", folder=key.rpartition("/")[0], executable="jobId_7.sh")
    ran = machine.run(spec)
    assert (ran.code, ran.stderr) == (0, "")
    assert "upload: " in ran.stdout
    assert machine.read(f"{key}.output") == "some input"
    assert machine.uploads() == {"jobId_7.output": machine.mark(f"{key}.sh")}
    assert machine.leftovers() == []


def test_the_papers_windows_job_is_carried_whole() -> None:
    """Commands with cmdlets, backslashes and a batch file reach PowerShell as written."""
    commands = [
        "cd C:\\ProgramData\\Amazon\\SSM",
        "Copy-S3object -Bucket my-bucket -KeyPrefix jobs/date/jobId_0 -LocalFolder .\\",
        "C:\\ProgramData\\Amazon\\SSM\\jobId_0.bat",
    ]
    document, parameters = render(job(ssm_document=POWERSHELL_DOCUMENT, commands=commands), PLACE)
    assert (document, len(parameters["commands"])) == (POWERSHELL_DOCUMENT, 1)
    assert SHELL_DOCUMENT not in parameters["commands"][0]
