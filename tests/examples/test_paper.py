"""The paper's examples: they run here, and what is meant for Windows is sound."""

from __future__ import annotations

from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_powershell
from msgspec.structs import replace

import shoal
from shoal.aws import windows
from shoal.aws.scripts import Place
from shoal.core.errors import SpecError
from shoal.core.job import Finished
from shoal.core.spec import POWERSHELL_DOCUMENT, JobSpec, parse_job

from .guide import EXAMPLES, follow

PAPER = EXAMPLES / "paper"
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
PLACE = Place("1.1", "my-bucket", "C:\\ProgramData\\Amazon\\SSM", 90.0, "aws:acme")


def is_powershell(source: str) -> bool:
    """Whether the grammar finds no error in a script."""
    return not PARSER.parse(source.encode()).root_node.has_error


def test_the_readme_runs_the_twins_and_the_folders(tmp_path: Path) -> None:
    """One twin fails after all its retries for want of its string; all else is Successful."""
    folder = follow("paper", tmp_path).folder
    with shoal.connect(folder / "jobs", create=False) as jobs:
        found = {job.job_id: job for job in jobs.jobs()}
    many = {f"today/jobId_{number}/jobId_{number}.sh" for number in range(5)}
    assert set(found) == many | {"Job1", "Job2", "jobId_0/jobId_0.sh"}
    failed = found.pop("Job1")
    assert {job.status.value for job in found.values()} == {"Successful"}
    assert (failed.status.value, failed.attempt, failed.retries) == ("Failed", 4, "3 of 3")
    assert isinstance(failed.state, Finished)
    assert "Hello EVERYONE" in failed.state.reason
    for name in many | {"jobId_0/jobId_0.sh"}:
        output = (folder / "jobs" / name).with_suffix(".output")
        assert output.read_text() == "an example of an input file\n"


def test_the_paper_s_job_is_one() -> None:
    """Its JSON is taken as it stands and becomes a script; with the printed comma it is refused."""
    text = (PAPER / "jobId_0.json").read_text()
    spec = parse_job(text)
    assert (spec.job_id, spec.retry, spec.ssm_document) == ("jobId_0", 3, POWERSHELL_DOCUMENT)
    assert is_powershell("\n".join(spec.commands))
    assert is_powershell(windows.render(spec, PLACE))
    comma = text.replace("]\n}", "],\n}")
    assert comma != text
    with pytest.raises(SpecError, match="trailing comma"):
        parse_job(comma)


@pytest.mark.parametrize("executable", ["jobId_0.bat", "jobId_1.ps1"])
def test_the_windows_folders_are_jobs(executable: str) -> None:
    """Each has its input, and an executable that a Windows worker can be told to run."""
    name = Path(executable).stem
    folder = PAPER / "windows" / name
    assert {path.name for path in folder.iterdir()} == {f"{name}.input", executable}
    job = JobSpec(job_id=f"{name}/{executable}", folder=name, executable=executable)
    assert is_powershell(windows.render(replace(job, ssm_document=POWERSHELL_DOCUMENT), PLACE))
    if executable.endswith(".ps1"):
        assert is_powershell((folder / executable).read_text())


def test_a_broken_script_would_be_noticed() -> None:
    """The grammar tells a script that is none."""
    assert not is_powershell("if ($true) { Write-Output 'x'")
