"""A job folder and a work folder, for tests of what goes to and fro between them."""

from __future__ import annotations

from pathlib import Path

from shoal.local.bucket import LocalBucket, Manifest


class Stage:
    """A bucket with a job folder `job`, and a work folder.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.bucket = LocalBucket(root / "bucket")
        self.job = root / "bucket" / "job"
        self.work = root / "work"
        self.job.mkdir(parents=True)
        self.work.mkdir()
        self.manifest: Manifest = {}

    def stage_in(self) -> None:
        self.manifest = self.bucket.stage_in("job", self.work)

    def results(self) -> list[str]:
        return sorted(self.bucket.find_results("job", self.work, self.manifest))

    def stage_out(self) -> list[str]:
        results = self.results()
        self.bucket.stage_out("job", self.work, results)
        return results


def tree(root: Path) -> dict[str, bytes | None]:
    """All that is in a folder; folders have no content."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }
