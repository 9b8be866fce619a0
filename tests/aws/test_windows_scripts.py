"""The PowerShell scripts of attempts, read by a real grammar: nothing here can run them."""

from __future__ import annotations

import base64
import re

import pytest
import tree_sitter
import tree_sitter_powershell
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.aws import windows
from shoal.aws.scripts import Place
from shoal.core.spec import POWERSHELL_DOCUMENT, JobSpec

from .machine import job

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
PLACE = Place("2.3", "drop", "C:\\ProgramData\\Amazon\\SSM", 90.0, "aws:stack")

HOSTILE = (
    "plain text",
    "it's; Remove-Item C:\\ -Recurse #",
    "‘ ’ ‚ ‛ ' \" “ ”",
    "$(calc) $env:PATH `n @{}",
    "'; exit 0; '",
    "’; exit 0; ’",
    "{{ commands }}{{{ssm:x}}}",
    "line\r\nline\n'@\n\"@",
    "日本-\N{GRINNING FACE}",
    "-Recurse",
    "%PATH% & | < > ^",
)
ANY_TEXT = st.text(
    st.sampled_from("'‘’‚‛\"“”$`{}()@;#&|\n\r\t -") | st.characters(exclude_categories=["Cs"]),
    max_size=40,
)


def nodes(source: str) -> list[tree_sitter.Node]:
    """All nodes of a script, which must be free of errors."""
    found = below(PARSER.parse(source.encode()).root_node)
    for node in found:
        assert node.type != "ERROR", f"{node.start_point}: {text_of(node)[:200]}"
        assert not node.is_missing, f"{node.start_point}: {node.type} is missing"
    return found


def below(top: tree_sitter.Node) -> list[tree_sitter.Node]:
    """A node and all below it, in the order of the source."""
    found, pending = [], [top]
    while pending:
        node = pending.pop()
        found.append(node)
        pending.extend(reversed(node.children))
    return found


def text_of(node: tree_sitter.Node) -> str:
    """The source of a node."""
    assert node.text is not None
    return node.text.decode()


def value_of(source: str) -> str:
    """What a verbatim literal stands for, by the language's rule: any quote, doubled, is itself."""
    assert re.fullmatch("'(?:[^'‘’‚‛]|['‘’‚‛]{2})*'", source, re.DOTALL), source
    return re.sub("(['‘’‚‛])['‘’‚‛]", r"\1", source[1:-1])


def data_of(source: str) -> dict[str, list[str]]:
    """The texts assigned to each variable in the data part, decoded as PowerShell would."""
    assigned: dict[str, list[str]] = {}
    encoded = source.encode()
    for node in nodes(source):
        if node.type != "assignment_expression":
            continue
        found = [inner for inner in below(node) if inner.type == "verbatim_string_characters"]
        texts = []
        for literal in sorted(found, key=lambda inner: inner.start_byte):
            text = value_of(text_of(literal))
            coded = encoded[: literal.start_byte].endswith(b"(Read-Text ")
            texts.append(base64.b64decode(text).decode() if coded else text)
        assigned.setdefault(text_of(node.children[0]), texts)
    return assigned


def direct(**fields: object) -> JobSpec:
    """A direct PowerShell job."""
    return job(ssm_document=POWERSHELL_DOCUMENT, **fields)


def folder_job(**fields: object) -> JobSpec:
    """A PowerShell job with a folder and an executable."""
    return direct(**{"folder": "jobs/1", "executable": "run.bat", **fields})


def code_of(source: str) -> str:
    """The shape of a script: its leaves, with every literal and number left blank."""
    shape = []
    for node in nodes(source):
        if node.type == "verbatim_string_characters":
            shape.append("''")
        elif not node.children:
            shape.append(node.type)
    return " ".join(shape)


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT.filter(lambda text: "\0" not in text))
def test_a_literal_is_one_node_that_says_the_text(text: str) -> None:
    """Whatever the text, the grammar sees one verbatim string, and its value is the text."""
    source = f"$x = {windows.literal(text)}"
    (found,) = [node for node in nodes(source) if node.type == "string_literal"]
    assert value_of(text_of(found)) == text


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT)
def test_an_expression_says_the_text_in_plain_ascii(text: str) -> None:
    """No byte of it depends on a code page, and SSM finds nothing to replace."""
    expression = windows.expression(text)
    assert expression.isascii()
    assert expression.isprintable()
    assert "{{" not in expression
    assert data_of(f"$x = {expression}") == {"$x": [text]}


@pytest.mark.parametrize(
    "spec",
    [
        direct(commands=["echo 1"]),
        direct(commands=["echo 1"], required_files=["a", "b/c"], environment={"A": "1"}),
        direct(commands=["echo 1"], folder="jobs/1"),
        folder_job(),
        folder_job(executable="run.ps1", required_files=["a"]),
    ],
)
@pytest.mark.parametrize("working_directory", [PLACE.working_directory, "/home/ec2-user/job", ""])
def test_every_script_is_powershell(spec: JobSpec, working_directory: str) -> None:
    """Each kind of job gives a script without a syntax error, in plain ASCII."""
    source = windows.render(spec, PLACE._replace(working_directory=working_directory))
    assert nodes(source)
    assert source.isascii()
    assert "{{" not in source


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_what_a_user_writes_is_data(text: str) -> None:
    """Names, values and commands come out as written, and change no code of the script."""
    spec = folder_job(
        job_id=f"jobs/{text}/x",
        folder=f"jobs/{text}",
        executable=f"{text}.bat",
        required_files=[f"{text}.out", text],
        environment={text: text, "B": text},
    )
    source = windows.render(spec, PLACE._replace(environment_name=text))
    data = data_of(source)
    assert data["$prefix"] == [f"jobs/{text}/"]
    assert data["$executable"] == [f"{text}.bat"]
    assert data["$required"] == [f"{text}.out", text]
    assert data["$bucket"] == ["drop"]
    assert data["$metadata"] == ["shoal", PLACE.folder_name(f"jobs/{text}/x")]
    assert data["$variables"] == [
        *("SHOAL_ENV", text, text, text, "B", text),
        *("SHOAL_JOB_ID", f"jobs/{text}/x", "SHOAL_RUN", "2", "SHOAL_ATTEMPT", "3"),
    ]
    tame = folder_job(required_files=["a", "b"], environment={"A": "1", "B": "2"})
    calls = re.compile(r"\(Read-Text ('[^']*')\)")
    assert code_of(calls.sub(r"\1", source)) == code_of(windows.render(tame, PLACE))


@settings(max_examples=50, deadline=None)
@given(st.lists(ANY_TEXT.filter(lambda text: "\0" not in text), min_size=1, max_size=5))
def test_commands_are_one_script(commands: list[str]) -> None:
    """The commands of a direct job are written to a file as they are, one a line."""
    source = windows.render(direct(commands=commands), PLACE)
    assert data_of(source)["$script"] == ["\r\n".join(commands)]


def test_names_that_windows_takes_for_one_are_set_once() -> None:
    """Variables whose names differ in case only would be a doubled key; the last one counts."""
    spec = direct(commands=["x"], environment={"Path": "1", "PATH": "2", "shoal_run": "9"})
    data = data_of(windows.render(spec, PLACE))["$variables"]
    assert dict(zip(data[::2], data[1::2], strict=True)) == {
        "SHOAL_ENV": "aws:stack",
        "PATH": "2",
        "SHOAL_JOB_ID": "jobs/1",
        "SHOAL_RUN": "2",
        "SHOAL_ATTEMPT": "3",
    }


def commands_of(source: str) -> dict[str, set[str]]:
    """The cmdlets a script calls, and the parameters it gives each."""
    called: dict[str, set[str]] = {}
    for node in nodes(source):
        if node.type != "command":
            continue
        name = next((text_of(c) for c in node.children if c.type == "command_name"), "&")
        own = [inner for part in node.children for inner in _own_parameters(part)]
        called.setdefault(name, set()).update(own)
    return called


def _own_parameters(node: tree_sitter.Node) -> list[str]:
    if node.type == "command_parameter":
        return [text_of(node)]
    if node.type in ("script_block_expression", "parenthesized_expression"):
        return []
    return [name for child in node.children for name in _own_parameters(child)]


def test_the_aws_cmdlets_get_parameters_they_have() -> None:
    """Staging uses the documented parameters of the folder forms of Read- and Write-S3Object."""
    called = commands_of(windows.render(folder_job(), PLACE))
    assert called["Read-S3Object"] == {"-BucketName", "-KeyPrefix", "-Folder"}
    assert called["Write-S3Object"] == {
        *("-BucketName", "-KeyPrefix", "-Folder", "-Recurse", "-Metadata")
    }
    assert "Read-S3Object" not in commands_of(windows.render(direct(commands=["x"]), PLACE))


def test_only_known_commands_are_called() -> None:
    """A script calls its own functions, a few cmdlets, and nothing a user named."""
    source = windows.render(folder_job(required_files=["a"]), PLACE)
    own = {text_of(node) for node in nodes(source) if node.type == "function_name"}
    assert set(commands_of(source)) - own == {
        *("&", "Read-S3Object", "Write-S3Object", "Join-Path", "New-Object", "New-Item"),
        *("Get-Item", "Get-CimInstance", "Where-Object", "ForEach-Object", "Start-Sleep"),
        *("Set-Location", "Write-Output"),
    }


def test_a_child_runs_powershell_and_its_exit_code_counts() -> None:
    """Scripts run in a PowerShell of their own that knows no profile and asks nobody."""
    source = windows.render(direct(commands=["exit 3"]), PLACE)
    assert {"-NoProfile", "-NonInteractive", "-ExecutionPolicy", "-File"} <= commands_of(source)[
        "&"
    ]
    assert source.rstrip().endswith("exit $code")


def test_the_other_folder_is_shown_only_where_it_is_one() -> None:
    """Links are made for a Windows path; a direct job has none to show."""
    assert "New-Item" in commands_of(windows.render(folder_job(), PLACE))
    for place in ("/home/ec2-user/job", ""):
        elsewhere = PLACE._replace(working_directory=place)
        assert "New-Item" not in commands_of(windows.render(folder_job(), elsewhere))
    assert "New-Item" not in commands_of(windows.render(direct(commands=["x"]), PLACE))
