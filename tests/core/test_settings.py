"""Settings: file, then variables, then flags; and errors that say where a value stands."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from shoal.core.errors import SettingsError
from shoal.settings import NAMES, Next, Settings, load


class Values(NamedTuple):
    """What a setting may be set to, in each place: as written there, and as it is meant."""

    in_file: str
    from_file: object
    variable: str
    from_variable: object
    flag: object


SEVERAL: dict[str, Values] = {
    "trigger_suffix": Values('[".a", ".b"]', (".a", ".b"), ".c,.d", (".c", ".d"), (".e",)),
    "max_workers": Values("2", 2, "3", 3, 4),
    "retry": Values('"2"', 2, "3", 3, 4),
    "job_success_string": Values('"in file"', "in file", "variable", "variable", "flag"),
}
SECONDS = Values("2.5", 2.5, "3", 3.0, 4)


def values_of(name: str) -> Values:
    """Different values for each place."""
    if name in SEVERAL:
        return SEVERAL[name]
    return Values("2", 2, "3", 3, 4) if name == "max_interruptions" else SECONDS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The settings file, which is not there yet."""
    return tmp_path / "shoal.toml"


def test_defaults_need_nothing(file: Path) -> None:
    """Without file, variables and flags, every setting has its default and says so."""
    loaded = load(file, {}, {})
    assert loaded.settings == Settings()
    assert loaded.sources == dict.fromkeys(NAMES, "default")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "next"])
def test_flags_go_over_variables_over_the_file(file: Path, name: str) -> None:
    """Each place overrides the one before, and the setting says which one it is from."""
    values = values_of(name)
    variables = {f"SHOAL_{name.upper()}": values.variable}
    file.write_text(f"{name} = {values.in_file}\n")

    loaded = load(file, {}, {})
    assert getattr(loaded.settings, name) == values.from_file
    assert loaded.sources == {**dict.fromkeys(NAMES, "default"), name: str(file)}

    loaded = load(file, variables, {})
    assert getattr(loaded.settings, name) == values.from_variable
    assert loaded.sources[name] == "environment variable"

    loaded = load(file, variables, {name: values.flag})
    assert getattr(loaded.settings, name) == values.flag
    assert loaded.sources[name] == "flag"

    assert load(file, variables, {name: None}) == load(file, variables, {})


def test_what_comes_next_is_said_in_the_file_alone(file: Path) -> None:
    """`[next]` is a table of the file; a variable would reach every environment of a pipeline."""
    file.write_text('[next]\nenvironment = "../b"\nexecutable = "x.sh"\n')
    loaded = load(file, {"SHOAL_NEXT": "../c"}, {})
    assert loaded.settings.next == Next("../b", "x.sh", ("*",))
    assert loaded.sources["next"] == str(file)


def test_places_are_merged(file: Path) -> None:
    """A place that sets one thing leaves the others as they were."""
    file.write_text("retry = 1\nlinger_s = 2\n")
    settings = load(file, {"SHOAL_LINGER_S": "3", "OTHER": "x"}, {"max_workers": 4}).settings
    assert (settings.retry, settings.linger_s, settings.max_workers) == (1, 3.0, 4)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("rety = 1", "'rety'"),
        ("[section]\nretry = 1", "'section'"),
        ("retry = -1", "retry can't be -1"),
        ("retry = true", "retry can't be True"),
        ('retry = "many"', "retry can't be 'many'"),
        ("max_workers = 1.5", "max_workers"),
        ("timeout_s = nan", "timeout_s"),
        ("lease_s = inf", "lease_s"),
        ("lease_s = 0", "lease_s"),
        ("linger_s = -1", "linger_s"),
        ("backoff_max_s = 0", "backoff_max_s"),
        ('trigger_suffix = ".sh"', "trigger_suffix"),
        ('trigger_suffix = [""]', "trigger_suffix"),
        ("job_success_string = 1", "job_success_string"),
        ("retry = 2020-01-01", "retry"),
        ("retry = ", "not valid TOML"),
        ("retry = 1\nretry = 2", "not valid TOML"),
        ("retry = " + "[" * 10_000, "not valid TOML"),
        ("retry = " + "9" * 5_000, "not valid TOML"),
    ],
)
def test_an_error_in_the_file_names_the_file(file: Path, text: str, fact: str) -> None:
    """What is wrong in the settings file is an error with the file's path and the setting."""
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file, {}, {})
    assert str(file) in caught.value.what
    assert fact in caught.value.what


def test_a_file_that_is_no_text_is_an_error(file: Path) -> None:
    """Bytes that are not UTF-8 are reported with the file's path."""
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"shoal\.toml"):
        load(file, {}, {})


def test_a_folder_in_place_of_the_file_is_an_error(file: Path) -> None:
    """A settings file that can't be read is reported with its path, not taken for missing."""
    file.mkdir()
    with pytest.raises(SettingsError, match=r"shoal\.toml can't be read"):
        load(file, {}, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [("RETRY", "many"), ("TIMEOUT_S", ""), ("LEASE_S", "nan"), ("TRIGGER_SUFFIX", "")],
)
def test_an_error_in_a_variable_says_so(file: Path, name: str, value: str) -> None:
    """What is wrong in a variable is an error that says it is from there, with the setting."""
    with pytest.raises(SettingsError, match=f"environment variable: {name.lower()} can't be"):
        load(file, {f"SHOAL_{name}": value}, {})


@pytest.mark.parametrize(
    ("flags", "fact"), [({"retry": "many"}, "retry can't be"), ({"rety": 1}, "unknown setting")]
)
def test_an_error_in_a_flag_says_so(file: Path, flags: dict[str, object], fact: str) -> None:
    """What is wrong in a flag is an error that says it is from there."""
    with pytest.raises(SettingsError, match=f"flag: {fact}"):
        load(file, {}, flags)


def test_a_bad_value_is_an_error_even_when_overridden(file: Path) -> None:
    """A file with a bad value is reported although a flag would override it."""
    file.write_text("retry = -1")
    with pytest.raises(SettingsError):
        load(file, {}, {"retry": 1})


def test_workers_are_limited_by_the_cores_unless_set(file: Path) -> None:
    """With `max_workers` 0 there is at least one worker; any other number is taken as it is."""
    assert load(file, {}, {}).settings.worker_limit >= 1
    assert load(file, {}, {"max_workers": 7}).settings.worker_limit == 7


def test_intake_gets_its_rules(file: Path) -> None:
    """Jobs from the bucket are made by the suffixes, retries and success string that are set."""
    flags = {"trigger_suffix": (".x",), "retry": 3, "job_success_string": "ok"}
    rules = load(file, {}, flags).settings.intake_rules
    assert (rules.trigger_suffixes, rules.retry, rules.job_success_string) == ((".x",), 3, "ok")
