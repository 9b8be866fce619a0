"""Hypothesis strategies for what users may ask for: text of every kind, and valid specs."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from shoal.core.spec import MAX_PRIORITY, SCRIPT_DOCUMENTS, JobSpec

AWKWARD_IDS = (
    "a b",
    'quote\'s "and" `ticks`',
    "$(touch /tmp/x); rm -rf ~ && true",
    "../../etc/passwd",
    "..",
    "folder/run.sh",
    "%s {0} \\n \\",
    "--help",
    "*?[a]",
    "größe/Ω/日本語/🐟",
    "e\u0301",
    "a'); DROP TABLE job; --",
    "x" * 1024,
    "é" * 512,
)
"""Ids that are accepted, and have to come back as they were given."""


def text(max_size: int = 20) -> st.SearchStrategy[str]:
    """Any text that UTF-8 can write, control characters and NUL included."""
    return st.text(st.characters(codec="utf-8"), max_size=max_size)


def plain_text(max_size: int = 20) -> st.SearchStrategy[str]:
    """Text without NUL, as a command or a variable may hold."""
    return st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=max_size)


def job_ids() -> st.SearchStrategy[str]:
    """Ids that are accepted."""
    shown = st.characters(codec="utf-8", exclude_categories=["Cc"])
    made = st.text(shown, min_size=1, max_size=40)
    return st.one_of(made, st.sampled_from(AWKWARD_IDS))


def key_paths() -> st.SearchStrategy[str]:
    """Paths inside a folder."""
    part = st.text(
        st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=10
    ).filter(lambda name: name not in (".", "..", ".shoal"))
    return st.lists(part, min_size=1, max_size=3).map("/".join)


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    """Specs that `validate` accepts, with and without a job folder."""
    environment_names = st.text(
        st.characters(codec="utf-8", exclude_characters="\0="), min_size=1, max_size=8
    )
    fields: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {"job_id": job_ids()},
            optional={
                "retry": st.integers(0, 1000),
                "job_success_string": text(),
                "timeout": st.floats(0, 1e9, exclude_min=True, exclude_max=True),
                "environment": st.dictionaries(environment_names, plain_text(), max_size=3),
                "required_files": st.lists(key_paths(), max_size=3).map(tuple),
                "priority": st.integers(-MAX_PRIORITY, MAX_PRIORITY),
                "tags": st.dictionaries(text(), text(), max_size=3),
            },
        )
    )
    kind = draw(st.sampled_from(("commands", "executable", "document")))
    if kind == "document":
        lists = st.lists(text(), max_size=2).map(tuple)
        fields["ssm_document"] = draw(text().filter(lambda name: name not in SCRIPT_DOCUMENTS))
        fields["parameters"] = draw(st.dictionaries(text(), lists, max_size=2))
    else:
        fields |= draw(
            st.fixed_dictionaries({}, optional={"ssm_document": st.sampled_from(SCRIPT_DOCUMENTS)})
        )
    if kind == "commands":
        fields["commands"] = draw(st.lists(plain_text(), min_size=1, max_size=3).map(tuple))
        fields |= draw(st.fixed_dictionaries({}, optional={"folder": key_paths()}))
    elif kind == "executable":
        folder, _, name = draw(key_paths().filter(lambda path: "/" in path)).rpartition("/")
        fields |= {"folder": folder, "executable": name}
    return JobSpec(**fields)
