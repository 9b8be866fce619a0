"""Where things lie in a local environment: all of Shoal's own below `.shoal/` in its folder."""

from __future__ import annotations

import os
from pathlib import Path

from shoal.core.errors import StoreError
from shoal.core.job import Token

OWN = ".shoal"


class Layout:
    """The paths of one environment.

    Args:
        root: the environment's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.own = root / OWN
        self.database = self.own / "shoal.db"
        self.settings = self.own / "shoal.toml"
        self.logs = self.own / "logs"
        self.work = self.own / "work"
        self.workers = self.own / "workers"
        self.bells = self.own / "bells"
        self.supervisor_lock = self.own / "supervisor.lock"

    @property
    def exists(self) -> bool:
        return self.database.exists()

    def create(self) -> None:
        """Make the folder an environment, on disk before this returns.

        Raises:
            StoreError: the folder can't be made, or something else has its name.
        """
        try:
            missing = [path for path in (self.root, *self.root.parents) if not path.exists()]
            for folder in (self.logs / "live", self.work, self.workers, self.bells):
                folder.mkdir(parents=True, exist_ok=True)
            ignore = self.own / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")
            # A new folder is safe when the one that it is in has been synced.
            for folder in (self.own, self.root, *(path.parent for path in missing)):
                sync_folder(folder)
        except OSError as error:
            raise StoreError(
                f"{self.root} can't be used as an environment ({error})",
                "name a folder that you may write to",
            ) from None

    def log_path(self, job_id: str, token: Token) -> Path:
        """Where the output of an attempt is kept. Job ids are any text, so they are hashed."""
        import hashlib  # only here, as it takes a while to load

        digest = hashlib.blake2b(job_id.encode(), digest_size=8).hexdigest()
        return self.logs / digest[:2] / f"{digest}.{token}.log"

    def live_log_path(self, worker: str) -> Path:
        """Where a worker's current attempt writes its output; a lost worker's last stays there."""
        return self.logs / "live" / f"{worker}.log"


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
