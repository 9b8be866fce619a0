"""The examples' pictures: small, whole, the same in every run, and shown where they belong."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from .guide import EXAMPLES

PICTURES = sorted(EXAMPLES.glob("*/*.svg"))


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.parent.name)
def test_a_picture_stands_alone(picture: Path) -> None:
    """It is SVG below 100 kB, says no date, loads nothing, and its README shows it."""
    text = picture.read_text()
    assert len(text) < 100_000
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "dc:date" not in text
    assert not re.search(r"""(href=["']|url\(["']?)http""", text)
    assert f"]({picture.name})" in (picture.parent / "README.md").read_text()


def test_the_index_shows_each_example() -> None:
    """Each example's folder and picture are in the list, and all its links lead somewhere."""
    assert len(PICTURES) == 4
    index = EXAMPLES / "README.md"
    text = index.read_text()
    for folder in {path.parent for path in EXAMPLES.glob("*/README.md")}:
        assert f"]({folder.name}/)" in text or f"]({folder.name}/README.md)" in text
    for document in EXAMPLES.rglob("README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document}: {target}"
    for picture in PICTURES:
        assert str(picture.relative_to(EXAMPLES)) in text
