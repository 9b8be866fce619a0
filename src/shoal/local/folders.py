"""Job folders from elsewhere on this machine into the bucket, and results out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from shoal.client_ports import Content, Plan, Reading
from shoal.core.errors import BucketError
from shoal.core.intake import IntakeRules, is_executable
from shoal.core.job import Job
from shoal.core.spec import check_key_path
from shoal.job_folder import find_executables
from shoal.local.bucket import LocalBucket
from shoal.ports import Beat, JobStore, Submission


class LocalFolders:
    """A `client_ports.Folders`.

    Args:
        bucket, store: of the environment.
        rules: say which files are executables.
    """

    def __init__(self, bucket: LocalBucket, store: JobStore, rules: IntakeRules) -> None:
        self._bucket = bucket
        self._store = store
        self._rules = rules

    def bring(self, paths: Sequence[str], plan: Plan) -> Iterator[list[Submission]]:
        for path in paths:
            yield self._bring_one(Path(os.path.abspath(path)), plan)

    def _bring_one(self, folder: Path, plan: Plan) -> list[Submission]:
        """Copy a folder from outside in; one in the bucket is left where it is."""
        names = find_executables(str(folder), self._rules)
        bucket = self._bucket
        inside = folder.is_relative_to(bucket.root)
        key = folder.relative_to(bucket.root).as_posix() if inside else folder.name
        specs = [plan(f"{key}/{name}".removeprefix("./")) for name in names]
        if not inside:

            def disarm() -> None:
                for name in names:
                    self._store.disarm(f"{key}/{name}", bucket.version(folder / name))

            bucket.put_folder(folder, key, names, disarm)
        return [Submission(spec, bucket.version(bucket.path(spec.job_id))) for spec in specs]

    def check(self) -> None:
        if not self._bucket.root.is_dir():
            raise BucketError(f"{self._bucket.root} is gone", "make it again")

    def files(self, folder: str) -> list[str]:
        return self._bucket.files(folder)

    def copies(self, folder: str, files: Sequence[str], scratch: Path) -> list[Path]:
        return [self._bucket.content(folder, relative) for relative in files]

    def put(self, folder: str, files: Sequence[Content], mark: str, beat: Beat) -> None:
        for relative, _ in files:
            if problem := check_key_path(relative):
                raise BucketError(f"file {relative!a} {problem}", "rename it")
        executable = files[-1].relative

        def before_each(relative: str, copy: Path) -> None:
            if relative == executable or is_executable(relative, self._rules):
                self._store.disarm(f"{folder}/{relative}", self._bucket.version(copy))
            beat()

        self._bucket.put_files(folder, files, mark, before_each)

    def fetch(self, jobs: Sequence[Job], destination: Path) -> Iterator[Path]:
        for job in jobs:
            for key in self._store.results(job.job_id):
                target = destination / key
                try:
                    self._bucket.fetch(key, target)
                except FileNotFoundError:
                    raise _gone(job, key) from None
                yield target

    def results(self, job: Job) -> list[str]:
        return sorted(self._store.results(job.job_id))

    def read(self, job: Job, key: str) -> Reading:
        if key not in self._store.results(job.job_id):
            raise BucketError(f"{key!a} is no result of job {job.job_id!r}", "see 'shoal fetch'")
        try:
            file = self._bucket.open(key)
        except FileNotFoundError:
            raise _gone(job, key) from None
        return Reading(os.fstat(file.fileno()).st_size, file.read, file.close)


def _gone(job: Job, key: str) -> BucketError:
    return BucketError(
        f"result {key!r} of job {job.job_id!r} is not in the bucket any more",
        "submit the job again to make it anew",
    )
