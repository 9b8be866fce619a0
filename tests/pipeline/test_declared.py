"""`[next]` in the settings: what is shown of it, and what is refused before anything runs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from shoal.core.errors import EnvironmentMissing, SettingsError, ShoalError

from .step import Step, run

MakeStep = Callable[[str], Step]
Steps = tuple[Step, Step]


def refused(step: Step) -> ShoalError:
    with step.pipeline() as pipeline, pytest.raises(ShoalError) as caught:
        pipeline.check()
    return caught.value


def test_config_shows_it(steps: Steps) -> None:
    """Each key has a line of its own, with the file it is from; without [next] there is one."""
    first, second = steps
    settings = json.loads(run("config", "-e", first.root, "--json")[0])["settings"]
    shown = {name: of["value"] for name, of in settings.items() if name.startswith("next")}
    assert shown == {
        "next.environment": "../second",
        "next.executable": "next.sh",
        "next.files": ["*"],
    }
    assert settings["next.files"]["source"] == str(first.layout.settings)
    settings = json.loads(run("config", "-e", second.root, "--json")[0])["settings"]
    assert settings["next"] == {"value": None, "source": "default"}


@pytest.mark.parametrize(
    ("table", "fact"),
    [
        ('environment = "../b"', "required field `executable`"),
        ('executable = "x"', "required field `environment`"),
        ('environment = "../b"\nexecutable = "x"\nfile = "*"', "unknown field `file`"),
        ('environment = "../b"\nexecutable = "x"\nfiles = "*"', "Expected `array`"),
        ('environment = "../b"\nexecutable = "x"\nfiles = []', "length >= 1"),
        ('environment = ""\nexecutable = "x"', "length >= 1"),
        ('environment = "../b"\nexecutable = 1', "Expected `str`"),
    ],
)
def test_a_mistake_is_named(step: MakeStep, table: str, fact: str) -> None:
    """A missing, unknown or senseless key is an error with the file and the keys there are."""
    first = step("first")
    first.layout.settings.write_text(f"[next]\n{table}\n")
    with pytest.raises(SettingsError) as caught:
        first.pass_on()
    assert fact in caught.value.what
    assert str(first.layout.settings) in caught.value.what
    assert caught.value.remedy == "[next] has environment, executable, files"


def test_up_refuses_what_would_keep_all_jobs_from_going_on(steps: Steps) -> None:
    """`shoal up` without the executable, or with no such next folder, ends at once and says so."""
    first, second = steps
    executable = first.layout.own / "next.sh"
    executable.unlink()
    _, err = run("up", first.root, "--until-idle", code=2)
    assert f"the next executable {executable} is not there" in err
    executable.write_text("")
    assert "is empty" in refused(first).what
    first.lead("../nowhere")
    _, err = run("up", first.root, "--until-idle", code=3)
    assert f"the next environment {second.root.with_name('nowhere')} is not there" in err
    first.lead("aws:no_stack")
    assert "aws:no_stack" in run("up", first.root, "--until-idle", code=3)[1]


def test_a_folder_becomes_an_environment(step: MakeStep) -> None:
    """The next environment need not have been up before; it is only not made out of nothing."""
    first = step("first")
    folder = first.root.with_name("second")
    folder.mkdir()
    first.lead("../second")
    with first.pipeline() as pipeline:
        pipeline.check()
    assert (folder / ".shoal/shoal.db").exists()


@pytest.mark.parametrize("length", [1, 2, 3])
def test_results_never_go_round(step: MakeStep, length: int) -> None:
    """A pipeline that leads back to where it began is refused, with the way round."""
    steps = [step(f"step{number}") for number in range(length)]
    for number, one in enumerate(steps):
        one.lead(steps[(number + 1) % length])
    error = refused(steps[0])
    assert isinstance(error, SettingsError)
    assert "round for ever" in error.what
    assert all(str(one.root) in error.what for one in steps)


def test_a_link_to_itself_is_itself(step: MakeStep) -> None:
    """Another name for the same folder hides no way round."""
    first = step("first")
    first.root.with_name("other").symlink_to(first.root)
    first.lead("../other")
    assert "round for ever" in refused(first).what


def test_environments_in_each_other_are_refused(step: MakeStep) -> None:
    """One would take the other's job folders for its own."""
    outer = step("outer")
    inner = step("outer/inner")
    for one, to in ((outer, "inner"), (inner, "..")):
        one.lead(to)
        assert "one lies in the other" in refused(one).what
        one.lead(None)


def test_an_executable_by_its_absolute_path_or_a_link(steps: Steps) -> None:
    """It may lie anywhere, and be a link; what it leads to is what is put in."""
    first, second = steps
    script = first.root.with_name("script")
    script.write_text("echo\n")
    (first.layout.own / "next.sh").unlink()
    (first.layout.own / "next.sh").symlink_to(script)
    first.put("a/data")
    first.put("a/run.sh")
    first.end("a")
    first.pass_on()
    assert second.files("a")["next.sh"] == "echo\n"
    assert not os.path.islink(second.root / "a/next.sh")
    text = first.layout.settings.read_text().replace('"next.sh"', f'"{script}"')
    first.layout.settings.write_text(text)
    first.put("b/data")
    first.put("b/run.sh")
    first.end("b")
    first.pass_on()
    assert second.runs() == {"a/next.sh": 1, "b/script": 1}


def test_a_next_environment_that_is_gone_later(steps: Steps) -> None:
    """It is not made again from nothing when it disappears: that is an error until it is back."""
    first, second = steps
    with first.pipeline() as pipeline:
        pipeline.check()
        second.root.rename(second.root.with_name("away"))
        first.put("a/data")
        first.put("a/run.sh")
        first.end("a")
        with pytest.raises(EnvironmentMissing):
            pipeline.pass_on()
    assert not second.root.exists()
