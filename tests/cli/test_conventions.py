"""What holds for every verb: help, exit codes, texts of errors, colours, quick imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shoal import __version__
from shoal.cli.main import VERBS

from .shell import Shell

ESCAPE = "\x1b["


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(shell: Shell, verb: str) -> None:
    """`--help` and `-h` of a verb say how it is used, and what it does, in whole sentences."""
    said = shell.type(verb, "--help")
    assert said.out.startswith(f"Usage: shoal {verb} ")
    assert said.err == ""
    first = said.out.split("\n\n")[1].strip()
    assert first.rstrip("\n").endswith((".", ":"))
    assert "--help" in said.out


def test_help_lists_the_verbs_and_the_exit_codes(shell: Shell) -> None:
    """`shoal --help` has a line for each verb, says where to begin, and what exit codes mean."""
    out = shell.type("--help").out
    listed = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line]
    assert listed == list(VERBS)
    assert "shoal demo" in out
    assert "Exit codes" in out
    assert shell.type("-h").out == out


def test_the_version_is_told(shell: Shell) -> None:
    """`--version` prints the version of the package."""
    assert __version__ in shell.type("--version").out


def test_a_misspelt_verb_is_guessed(shell: Shell) -> None:
    """An unknown verb ends with code 2, and names the one that was probably meant."""
    assert "Did you mean 'status'?" in shell.type("sattus", code=2).err
    assert "Did you mean" not in shell.type("xyzzy", code=2).err


NEED_AN_ENVIRONMENT = (
    *(("status",), ("wait",), ("logs", "a"), ("fetch", "a", "b"), ("events",), ("cancel", "a")),
    *(("retry", "a"), ("pause",), ("resume",), ("workers",), ("doctor",), ("relay",)),
    *(("top",), ("report",), ("ui",)),
)


@pytest.mark.parametrize("words", NEED_AN_ENVIRONMENT)
def test_a_folder_that_is_no_environment_is_refused(shell: Shell, words: tuple[str, ...]) -> None:
    """A verb that needs an environment makes none: it ends with code 3, and says what makes one."""
    error = shell.type(*words, code=3).err
    assert f"{shell.folder} is not a Shoal environment yet" in error
    assert "'shoal up'" in error
    assert not (shell.folder / ".shoal").exists()


def test_a_damaged_database_is_refused(shell: Shell) -> None:
    """A database that is none ends with code 3, and is left as it is."""
    shell.submit("a")
    database = shell.folder / ".shoal" / "shoal.db"
    for path in database.parent.glob("shoal.db-*"):
        path.unlink()
    database.write_bytes(b"no database" * 1000)
    assert str(database) in shell.type("status", code=3).err
    assert database.read_bytes() == b"no database" * 1000


def test_a_stacks_name_is_no_folder(shell: Shell) -> None:
    """What begins with aws: is never taken for a folder, however it is misspelt."""
    for verb in ("status", "config", "up", "doctor"):
        assert "aws:no_stack" in shell.type(verb, "-e", "aws:no_stack", code=3).err
    assert not (shell.folder / "aws:no_stack").exists()


def test_the_environment_is_option_before_variable_before_folder(
    shell: Shell, tmp_path: Path
) -> None:
    """-e counts more than SHOAL_ENV, and that more than the current folder."""
    for name in ("option", "variable", "current"):
        (tmp_path / name).mkdir()
        shell.type("submit", "--command", "true", "--id", name, cwd=tmp_path / name)
    words = ("status", "-n", "0")
    here = tmp_path / "current"
    variables = {"SHOAL_ENV": str(tmp_path / "variable")}
    assert "current" in shell.type(*words, cwd=here).out
    assert "variable" in shell.type(*words, cwd=here, variables=variables).out
    assert "option" in shell.type(*words, "-e", "../option", cwd=here, variables=variables).out


def test_colours_are_for_terminals_only(shell: Shell) -> None:
    """A table has colours on a terminal and fits its width; elsewhere it is plain and uncut."""
    shell.submit("a", f"echo {'x' * 150}; exit 1")
    shell.run_all()
    plain = shell.type("status").out
    assert ESCAPE not in plain
    assert "x" * 150 in plain
    assert not any(line.endswith(" ") for line in plain.splitlines())
    seen = shell.see_on_terminal("status")
    assert f"{ESCAPE}31m1 Failed" in seen
    assert "x" * 150 not in seen
    assert "…" in seen
    shell.variables["NO_COLOR"] = "1"
    assert f"{ESCAPE}31m" not in shell.see_on_terminal("status")


def test_a_person_who_waits_sees_a_progress_bar(shell: Shell) -> None:
    """On a terminal `wait` draws a bar, and takes it away when it ends."""
    shell.submit("a")
    seen = shell.see_on_terminal("wait", "--timeout", "0.5", code=1)
    assert "0/1" in seen
    assert "━" in seen
    assert seen.splitlines()[-1].endswith("time is up with 1 not over: 1 Queued")


def test_what_a_job_says_can_do_nothing_to_a_terminal(shell: Shell) -> None:
    """Control characters and markup in what comes from a job are shown as text by status."""
    evil = r"printf '\033[31mred\033]0;title\007 [bold]b[/bold]'; exit 1"
    shell.submit("[red]a", evil)
    shell.submit("b", required_files=["\x1b[2J.txt"])
    shell.run_all()
    from_a, from_b = "[bold]b[/bold]", "\N{REPLACEMENT CHARACTER}[2J.txt"
    for words, expected in (
        (("status",), {"[red]a", from_a, from_b}),
        (("events",), {"[red]a", from_a, from_b}),
        (("status", "[red]a"), {"[red]a", from_a}),
        (("status", "b"), {from_b}),
    ):
        out = shell.type(*words).out
        assert {text for text in ("[red]a", from_a, from_b) if text in out} == expected
        assert not {"\x1b", "\x07"} & set(out)


def test_an_interrupted_verb_ends_with_130(shell: Shell) -> None:
    """Ctrl-C ends a verb that waits with code 130 and without a traceback."""
    shell.submit("a")
    waiting = shell.start("wait")
    assert waiting.stderr is not None
    assert "Nobody works" in waiting.stderr.readline()
    waiting.send_signal(2)
    _, error = waiting.communicate()
    assert (waiting.returncode, error.strip()) == (130, "")


def test_importing_a_verb_is_quick() -> None:
    """A verb's module imports only click and the shared options, so that `--help` is quick."""
    slow = {"asyncio", "msgspec", "psutil", "rich", "sqlite3", "subprocess"}
    code = (
        "import importlib, sys\n"
        f"for verb in {VERBS}:\n"
        "    importlib.import_module(f'shoal.cli.{verb}')\n"
        f"    print(verb, *({slow} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list(VERBS)
