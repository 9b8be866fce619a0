"""A folder and a watch on it, for tests that say themselves what time it is."""

from __future__ import annotations

import time
from pathlib import Path

from shoal.core.intake import IntakeRules
from shoal.local.watch import FolderWatch
from shoal.ports import Found

RULES = IntakeRules((".sh", ".run"), 0, " ")
QUIET_S = 3600.0
"""So long that nothing in these tests becomes complete by having been quiet, unless time is set."""


SOON_S = 0.1
"""A moment after a change, when copying programs have set all that they set."""


class Watched:
    """A folder, and a watch on it.

    Args:
        root: the folder.
        listen: whether the kernel tells.
        quiet_s: as for the watch.
    """

    def __init__(self, root: Path, *, listen: bool = True, quiet_s: float = QUIET_S) -> None:
        self.root = root
        self.watch = FolderWatch(str(root), RULES, quiet_s, listen=listen)

    def take(self, later_s: float = SOON_S) -> list[Found]:
        """What is found complete soon, or as if more time had passed."""
        return self.watch.take(time.time() + later_s)

    def found(self, later_s: float = SOON_S) -> list[str]:
        """The keys of what is found complete soon, or as if more time had passed."""
        return sorted(found.key for found in self.take(later_s))

    def put(self, key: str, content: str = "echo") -> Path:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path
