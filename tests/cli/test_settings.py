"""`shoal config`: the settings in force, and where each came from."""

from __future__ import annotations

import pytest

from shoal.settings import NAMES

from .shell import Shell


def write_settings(shell: Shell, text: str) -> None:
    file = shell.folder / ".shoal" / "shoal.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def test_config_lists_every_setting_with_its_source(shell: Shell) -> None:
    """`config` shows each setting once, with its value and where that came from."""
    rows = [line.split() for line in shell.type("config").out.splitlines()]
    assert rows[0] == ["setting", "value", "from"]
    assert [row[0] for row in rows[1:]] == list(NAMES)
    assert ["retry", "0", "default"] in rows
    assert ["trigger_suffix", "'.sh'", "default"] in rows


def test_a_variable_overrides_the_file_which_overrides_the_default(shell: Shell) -> None:
    """Of default, file and environment variable, the later one counts, and is named."""
    write_settings(shell, 'retry = 2\nmax_workers = 7\ntrigger_suffix = [".job", ".bat"]\n')
    shell.variables["SHOAL_MAX_WORKERS"] = "3"
    config = shell.type_for_json("config")
    settings = config["settings"]
    file = str(shell.folder / ".shoal" / "shoal.toml")
    assert config["file"] == file
    assert settings["retry"] == {"value": 2, "source": file}
    assert settings["max_workers"] == {"value": 3, "source": "environment variable"}
    assert settings["trigger_suffix"] == {"value": [".job", ".bat"], "source": file}
    assert settings["lease_s"] == {"value": 60.0, "source": "default"}


def test_a_flag_overrides_all(shell: Shell) -> None:
    """A flag of `up` counts more than the variable and the file."""
    write_settings(shell, "retry = 1")
    shell.variables["SHOAL_RETRY"] = "2"
    shell.job_folder("a", "false")
    shell.run_all("--retry", "3")
    assert shell.type_for_json("status", "a/run.sh")["Retries"] == "3 of 3"


def test_settings_reach_the_workers(shell: Shell) -> None:
    """A setting in the file holds for the workers too: here, the time an attempt may run."""
    write_settings(shell, "timeout_s = 0.2\n")
    shell.submit("a", "exec sleep 600")
    shell.run_all()
    assert shell.type_for_json("status", "a")["reason"] == "timed out after 0.2 s"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("retrys = 1", "unknown setting 'retrys'"),
        ("retry = -1", "retry can't be -1"),
        ("retry = 'many'", "retry can't be 'many'"),
        ("retry = ", "is not valid TOML"),
    ],
)
def test_a_bad_file_is_refused_by_name(shell: Shell, text: str, says: str) -> None:
    """A settings file with a mistake stops every verb with code 2, and names file and mistake."""
    write_settings(shell, text)
    for words in (("config",), ("up", "--until-idle")):
        error = shell.type(*words, code=2).err
        assert says in error
        assert "shoal.toml" in error


def test_a_bad_variable_is_refused(shell: Shell) -> None:
    """A variable with a value that makes no sense is named with the setting."""
    error = shell.type("config", code=2, variables={"SHOAL_LEASE_S": "soon"}).err
    assert "lease_s can't be 'soon'" in error
    assert "variable" in error
