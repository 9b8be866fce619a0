"""`shoal submit --sweep`: a job for each row of a CSV file."""

from __future__ import annotations

import csv

import pytest

from .shell import Shell

HOSTILE = (
    "$(touch hacked)",
    "`touch hacked`",
    "'; touch hacked; '",
    '" && touch hacked && "',
    "a b  c",
    "*",
    "-n",
    "\\",
    "~",
    "{voltage}",
    "ünï cödé €",
    "two\nlines",
    "",
)


def write_csv(shell: Shell, *rows: tuple[str, ...]) -> None:
    with (shell.folder / "params.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def test_each_row_is_a_job(shell: Shell) -> None:
    """A sweep makes a job a row, with ids from a template, and options that hold for all."""
    write_csv(shell, ("process", "voltage"), ("tt", "0.9"), ("ss", "1.1"))
    said = shell.type(
        *("submit", "--sweep", "params.csv", "--id", "{process}/{voltage}V", "--retry", "2"),
        *("--command", "echo p={process} v={voltage} {{braces}}"),
    )
    assert said.out.splitlines() == ["tt/0.9V", "ss/1.1V"]
    shell.run_all()
    assert shell.type("logs", "tt/0.9V").out == "p=tt v=0.9 {braces}\n"
    assert shell.type_for_json("status", "ss/1.1V")["Retries"] == "0 of 2"


def test_a_sweep_without_ids_is_named_and_numbered(shell: Shell) -> None:
    """Without --id, the jobs of a sweep share a new name and are numbered in the file's order."""
    write_csv(shell, ("v",), *((str(number),) for number in range(11)))
    ids = shell.type_for_json("submit", "--sweep", "params.csv", "--command", "echo {v}")["job_ids"]
    name = ids[0].partition("/")[0]
    assert ids == [f"{name}/{number:02}" for number in range(1, 12)]


def test_hostile_values_reach_the_command_as_they_are(shell: Shell) -> None:
    """A value is one word of the command, whatever it holds, and nothing in it is executed."""
    write_csv(shell, ("n", "value"), *((str(n), value) for n, value in enumerate(HOSTILE)))
    shell.type(
        *("submit", "--sweep", "params.csv", "--id", "{n}"),
        *("--command", "printf '<%s>' {value}; test ! -e hacked"),
    )
    shell.run_all()
    assert set(shell.statuses().values()) == {"Successful"}
    with shell.client() as client:
        for n, value in enumerate(HOSTILE):
            assert b"".join(client.output(str(n))).decode() == f"<{value}>"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("sim {voltag}", "did you mean {voltage}?"),
        ("echo ${HOME}", "{{HOME}}"),
        ("echo '{voltage}'", "in quotes"),
        ('echo "it is {voltage}"', "in quotes"),
        ("echo `cat {voltage}`", "in quotes"),
        ("echo \\{voltage}", "behind a backslash"),
    ],
)
def test_a_template_that_would_go_wrong_is_refused(shell: Shell, template: str, says: str) -> None:
    """A column that is not there, or in a place where quoting is void, is refused with a hint."""
    write_csv(shell, ("voltage",), ("0.9",))
    error = shell.type("submit", "--sweep", "params.csv", "--command", template, code=2).err
    assert says in error
    assert shell.statuses() == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no header"),
        ("a,a\n1,2\n", "no header of different names"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n3\n", "line 3 has 1 values"),
        ('a,b\n1,"2\n', "is not a CSV file"),
        ("a,b\n1,2\n1,3\n", "two rows have the job id '1'"),
    ],
)
def test_a_broken_file_is_refused_with_the_line(shell: Shell, text: str, says: str) -> None:
    """A CSV file that can't be a sweep is refused, and where it matters the line is named."""
    (shell.folder / "params.csv").write_text(text)
    words = ("submit", "--sweep", "params.csv", "--command", "echo {a}", "--id", "{a}")
    assert says in shell.type(*words, code=2).err
    assert shell.statuses() == {}
