"""Globs over job ids, as a shell has them; `/` is no border."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable

_SET = re.compile(r"\[([!^]?+)(\]?+[^\]]*+\])")
"""A set of characters in a glob; negated by `!` as in a shell, or by `^` as in a regex."""


def matcher(pattern: str) -> Callable[[str], object]:
    """A function that is true of the texts a glob means."""
    glob = _SET.sub(lambda found: f"[{'!' if found[1] else ''}{found[2]}", pattern)
    return re.compile(fnmatch.translate(glob)).match
