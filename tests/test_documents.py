"""What the documents say works: their commands are run, their generated parts are compared.

In the first page, the tutorial, the how-to pages and that of the JSON output, each `sh` and
`python` block is run, in order, in an empty folder; a `text` block right after one is what it
prints, with `...` for what differs each time. A comment before a block says otherwise:
`<!-- in another terminal -->` starts it and goes on, `<!-- not run: WHY -->` leaves it out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

from shoal.core.errors import SpecError
from shoal.core.spec import parse_job

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
RUN_PAGES = [DOCS / "index.md", DOCS / "reference/output.md"]
RUN_PAGES += sorted([*(DOCS / "tutorial").glob("*.md"), *(DOCS / "how-to").glob("*.md")])
MARK = "--- the next block ---"


OTHER_TERMINAL = "other-terminal"


class Run(NamedTuple):
    """A block that is run, where, and the text that the page shows below it."""

    text: str
    elsewhere: bool
    shown: str | None = None


class Block(NamedTuple):
    """A fenced block of a page, with the comment before it."""

    comment: str
    language: str
    text: str


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page; those within a list are shifted to the left."""
    fences = r"^( *)(?:<!-- (.*?) -->\n+ *)?```(\w+)[^\n]*\n(.*?)^\1```$"
    found = re.findall(fences, page.read_text(), re.DOTALL | re.MULTILINE)
    return [
        Block(comment, language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
        for indent, comment, language, text in found
    ]


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has just installed Shoal, with short waits."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {
        "PATH": path,
        "HOME": str(tmp_path),
        "SHOAL_LINGER_S": "0.2",
        "SHOAL_BACKOFF_BASE_S": "0.1",
    }


def test_the_readme_commands_work_in_order(tmp_path: Path, variables: dict[str, str]) -> None:
    """The README's shell blocks, run one after the other in an empty folder, do what they say."""
    script = "\n".join(["set -euo pipefail", *blocks("sh")])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Hello world" in done.stdout
    assert (tmp_path / "jobs/hello/greeting.txt").read_text() == "Hello world\n"
    assert '"status":"Successful"' in done.stdout


def test_the_readme_python_works(tmp_path: Path, variables: dict[str, str]) -> None:
    """The README's Python block submits ten jobs."""
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "10" in done.stdout


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_the_commands_of_a_page_do_what_it_says(
    page: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    """Each block that is run succeeds, and prints what the page shows below it."""
    script, runs = plan_page(page)
    if not runs:
        return
    file = tmp_path / "page.sh"
    file.write_text(script)
    folder = tmp_path / "here"
    folder.mkdir()
    with (tmp_path / "output").open("w+") as output:
        process = subprocess.Popen(
            ["bash", file],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            returncode = process.wait(timeout=60)
        finally:
            for number in (signal.SIGTERM, signal.SIGKILL):  # what still runs in other terminals
                try:
                    os.killpg(process.pid, number)
                except ProcessLookupError:
                    break
        output.seek(0)
        said = output.read()
    assert returncode == 0, said
    printed = said.split(f"{MARK}\n")[1:]
    for run, text in zip(runs, printed, strict=True):
        if run.shown is not None:
            said = (folder / OTHER_TERMINAL).read_text() if run.elsewhere else text
            assert is_shown(run.shown, said), f"\n{run.text}\nprinted\n{said}\nnot\n{run.shown}"


def plan_page(page: Path) -> tuple[str, list[Run]]:
    """A script of what is run, and its blocks."""
    lines = ["set -euo pipefail"]
    runs: list[Run] = []
    was_run = False
    for comment, language, text in blocks_of(page):
        if language == "text" and was_run:
            runs[-1] = runs[-1]._replace(shown=text)
        was_run = language in ("sh", "python") and not comment.startswith("not run: ")
        if not was_run:
            continue
        lines.append(f"echo '{MARK}'")
        elsewhere = comment == "in another terminal"
        if elsewhere:
            lines.append(f"(\n{text}) >>{OTHER_TERMINAL} 2>&1 &")
        elif language == "python":
            lines.append(f"python - <<'END-OF-PYTHON'\n{text}END-OF-PYTHON")
        else:
            lines.append(text)
        runs.append(Run(text, elsewhere))
    return "\n".join(lines), runs


def is_shown(shown: str, printed: str) -> bool:
    """Whether the lines that a page shows were printed, in this order; spaces don't count."""
    left = iter([" ".join(line.split()) for line in printed.splitlines()])
    for line in shown.splitlines():
        pattern = ".*".join(re.escape(part) for part in " ".join(line.split()).split("..."))
        if not any(re.fullmatch(pattern, found) for found in left):
            return False
    return True


def test_the_readme_links_lead_somewhere() -> None:
    """Each relative link in the documents names a file that exists."""
    for document in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document}: {target}"


def test_the_list_of_decisions_has_each_with_its_title() -> None:
    """Decisions are found from their list."""
    listed = re.findall(r"^- \[(.*)\]\((.*)\)$", (DOCS / "adr/README.md").read_text(), re.MULTILINE)
    titles = [
        (file.read_text().splitlines()[0].removeprefix("# "), file.name)
        for file in sorted((DOCS / "adr").glob("[0-9]*.md"))
    ]
    assert listed == titles


def test_the_generated_documents_are_up_to_date() -> None:
    """What docs/ says of the code is what the code says."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs/generate.py", "--check"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr


def test_the_schema_agrees_with_the_parser() -> None:
    """What the JSON Schema of the job accepts and refuses, `parse_job` does, too."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((DOCS / "reference/job.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    good = {"job_id": "a", "retry": "3", "timeout": "2.5", "commands": ["true"], "tags": {"b": "c"}}
    assert validator.is_valid(good)
    parse_job(json.dumps(good))
    for key, value in (("comands", []), ("commands", "true"), ("tags", []), ("timeout", [])):
        wrong = {**good, key: value}
        assert not validator.is_valid(wrong)
        with pytest.raises(SpecError):
            parse_job(json.dumps(wrong))


class Reader(HTMLParser):
    """What a page of the site refers to, and what it can be referred to by."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.anchors: set[str] = {""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        if tag == "a":
            self.linked += [values["href"]] if "href" in values else []
            self.anchors |= {values["name"]} if "name" in values else set()
        else:
            self.loaded += [values[name] for name in ("src", "href", "data") if name in values]
        self.anchors |= {values["id"]} if "id" in values else set()


def test_the_site_needs_nothing_from_outside_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    """Built as by `make site`, pages load only files of the site; links and anchors exist."""
    site = tmp_path / "build/site"
    for name in ("docs", "overrides"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {}
    for file in site.rglob("*.html"):
        pages[file] = Reader()
        pages[file].feed(file.read_text())
    assert len(pages) > 30
    for file, page in pages.items():
        if file.name == "404.html":
            continue  # served for any path, so its links are from the top
        for target in (*page.loaded, *page.linked):
            parts = urlsplit(target)
            if target in page.linked and parts.scheme in ("http", "https", "mailto"):
                continue
            assert not parts.scheme and not parts.netloc, f"{file} loads {target}"
            found = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert found.is_file(), f"{file} refers to {target}"
            if found in pages:
                assert unquote(parts.fragment) in pages[found].anchors, f"{file}: {target}"
