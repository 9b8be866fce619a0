"""Job folders into the bucket, and results out of it, many objects at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from shoal.aws.account import aws_errors
from shoal.aws.s3 import THREADS, Bucket
from shoal.aws.upload import Upload, UploadPlan, encoding_problem, plan_upload
from shoal.client_ports import Content, Plan, Reading
from shoal.core.errors import BucketError
from shoal.core.intake import IntakeRules, is_executable
from shoal.core.job import Job
from shoal.core.spec import check_key_path
from shoal.job_folder import no_executable
from shoal.ports import Beat, Submission

SCHEME = "s3://"

GROUP = 50
"""Folders uploaded together, and then submitted together."""


class AwsFolders:
    """A `client_ports.Folders`.

    Args:
        session: of boto3.
        bucket: its name; None for a stack that has none.
        rules: say which files are executables.
    """

    def __init__(self, session: Any, bucket: str | None, rules: IntakeRules) -> None:
        self._name = bucket
        self._bucket = Bucket(session, bucket) if bucket is not None else None
        self._rules = rules

    # --- in ---------------------------------------------------------------------------------

    def bring(self, paths: Sequence[str], plan: Plan) -> Iterator[list[Submission]]:
        bucket = self._get_bucket()
        held = [path for path in paths if path.startswith(SCHEME)]
        plans = [plan_upload(path, self._rules) for path in paths if not path.startswith(SCHEME)]
        specs = {of.key: plan(of.key) for each in plans for of in each.executables}
        with ThreadPoolExecutor(THREADS) as pool, aws_errors():
            self._refuse_taken(bucket, plans, pool)
            yield from pool.map(lambda path: self._held(bucket, path, plan), held)
            for start in range(0, len(plans), GROUP):
                versions = _upload(bucket, plans[start : start + GROUP], pool)
                yield [Submission(specs[key], version) for key, version in versions.items()]

    def _get_bucket(self) -> Bucket:
        if self._bucket is None:
            raise BucketError(
                "this stack schedules, but has no bucket",
                "name the stack of a fleet for job folders; commands can be submitted here",
            )
        return self._bucket

    def _refuse_taken(
        self, bucket: Bucket, plans: list[UploadPlan], pool: ThreadPoolExecutor
    ) -> None:
        """Raise when a folder's name is taken, in the bucket or by another of them."""
        folders = [plan.folder for plan in plans]
        for folder in folders:
            if folders.count(folder) > 1:
                raise BucketError(f"there are two folders {folder!a}", "rename one of them")
        taken = pool.map(lambda folder: bucket.holds(f"{folder}/"), folders)
        for folder, is_taken in zip(folders, taken, strict=True):
            if is_taken:
                raise BucketError(
                    f"the bucket has a folder {folder!a} already",
                    f"rename yours, or submit that one: {SCHEME}{bucket.name}/{folder}",
                )

    def _held(self, bucket: Bucket, path: str, plan: Plan) -> list[Submission]:
        """What the executables of a folder that is in the bucket already stand for."""
        name, _, rest = path.removeprefix(SCHEME).partition("/")
        folder = rest.rstrip("/")
        if name != bucket.name or not folder:
            raise BucketError(
                f"{path!r} is no folder in the bucket of this stack",
                f"it would begin with {SCHEME}{bucket.name}/",
            )
        found = []
        for key in bucket.keys(f"{folder}/"):
            if "/" in key.removeprefix(f"{folder}/") or not is_executable(key, self._rules):
                continue
            look = bucket.look(key)
            if look is not None and look.size_bytes and not look.is_result:
                found.append(Submission(plan(key), look.version))
        if not found:
            raise no_executable(path, self._rules)
        return found

    # --- by the file ------------------------------------------------------------------------

    def check(self) -> None:
        self._get_bucket()

    def files(self, folder: str) -> list[str]:
        prefix = f"{folder}/"
        with aws_errors():
            keys = [key for key in self._get_bucket().keys(prefix) if not key.endswith("/")]
        if not keys:
            raise BucketError(f"there is no folder {folder!a} in the bucket", "put it there")
        return [key.removeprefix(prefix) for key in keys]

    def copies(self, folder: str, files: Sequence[str], scratch: Path) -> list[Path]:
        bucket = self._get_bucket()

        def get(relative: str, path: Path) -> Path:
            try:
                bucket.get(f"{folder}/{relative}", path)
            except FileNotFoundError:
                raise BucketError(f"file {relative!a} is gone", "put it there") from None
            return path

        paths = [scratch / str(number) for number in range(len(files))]
        with ThreadPoolExecutor(THREADS) as pool, aws_errors():
            return list(pool.map(get, files, paths))

    def put(self, folder: str, files: Sequence[Content], mark: str, beat: Beat) -> None:
        bucket = self._get_bucket()
        uploads = [Upload(str(path), f"{folder}/{relative}") for relative, path in files]
        for upload in uploads:
            if problem := check_key_path(upload.key) or encoding_problem(upload.key):
                raise BucketError(f"file {upload.key!a} {problem}", "rename it")

        def put(upload: Upload) -> None:
            beat()
            if is_executable(upload.key, self._rules):
                bucket.put_submitted(upload.file, upload.key)
            else:
                bucket.put(upload.file, upload.key)

        *inputs, executable = uploads
        with ThreadPoolExecutor(THREADS) as pool, aws_errors():
            list(pool.map(put, inputs))
            beat()
            bucket.put_submitted(executable.file, executable.key)

    # --- out --------------------------------------------------------------------------------

    def fetch(self, jobs: Sequence[Job], destination: Path) -> Iterator[Path]:
        folders: dict[str, list[str]] = {}
        for job in jobs:
            if job.spec.folder is not None:
                folders.setdefault(job.spec.folder, []).append(job.job_id)
        if not folders:
            return
        bucket = self._get_bucket()
        with ThreadPoolExecutor(THREADS) as pool, aws_errors():
            for folder, job_ids in folders.items():
                yield from self._fetch_folder(bucket, folder, job_ids, destination, pool)

    def _fetch_folder(
        self,
        bucket: Bucket,
        folder: str,
        job_ids: Sequence[str],
        destination: Path,
        pool: ThreadPoolExecutor,
    ) -> Iterator[Path]:
        def get(key: str, target: Path) -> None:
            try:
                bucket.get(key, target)
            except FileNotFoundError:
                raise _gone(key) from None

        results = _results(bucket, folder, job_ids, pool)
        targets = [_target(destination, key) for key in results]
        for _, target in zip(pool.map(get, results, targets), targets, strict=True):
            yield target

    def results(self, job: Job) -> list[str]:
        if job.spec.folder is None:
            return []
        with ThreadPoolExecutor(THREADS) as pool, aws_errors():
            return _results(self._get_bucket(), job.spec.folder, [job.job_id], pool)

    def read(self, job: Job, key: str) -> Reading:
        folder = job.spec.folder
        if folder is None or not key.startswith(f"{folder}/"):
            raise _not_of(job, key)
        bucket = self._get_bucket()
        with aws_errors():
            look = bucket.look(key)
            if look is None:
                raise _gone(key)
            if not look.is_result_of(job.job_id):
                raise _not_of(job, key)
            try:
                return bucket.open(key)
            except FileNotFoundError:
                raise _gone(key) from None


def _results(
    bucket: Bucket, folder: str, job_ids: Sequence[str], pool: ThreadPoolExecutor
) -> list[str]:
    """The keys in a folder that attempts of these jobs have uploaded."""

    def is_result(key: str) -> bool:
        look = bucket.look(key)
        return look is not None and any(look.is_result_of(job_id) for job_id in job_ids)

    keys = [key for key in bucket.keys(f"{folder}/") if not key.endswith("/")]
    return [key for key, yes in zip(keys, pool.map(is_result, keys), strict=True) if yes]


def _gone(key: str) -> BucketError:
    return BucketError(
        f"result {key!r} is not in the bucket any more", "submit the job again to make it anew"
    )


def _not_of(job: Job, key: str) -> BucketError:
    return BucketError(f"{key!a} is no result of job {job.job_id!r}", "see 'shoal fetch'")


def _upload(bucket: Bucket, plans: list[UploadPlan], pool: ThreadPoolExecutor) -> dict[str, str]:
    """Upload folders, executables last; their versions. All of it, or nothing stays."""

    def put(upload: Upload) -> None:
        bucket.put(upload.file, upload.key)

    def put_submitted(upload: Upload) -> str:
        return bucket.put_submitted(upload.file, upload.key)

    inputs = [upload for plan in plans for upload in plan.inputs]
    tools = [upload for plan in plans for upload in plan.tools]
    executables = [upload for plan in plans for upload in plan.executables]
    try:
        list(pool.map(put, inputs))
        list(pool.map(put_submitted, tools))
        versions = list(pool.map(put_submitted, executables))
    except BaseException:
        pool.shutdown(cancel_futures=True)  # those that are under way would come after the removal
        bucket.remove([upload.key for upload in (*inputs, *tools, *executables)])
        raise
    return {upload.key: version for upload, version in zip(executables, versions, strict=True)}


def _target(destination: Path, key: str) -> Path:
    """Where a result goes. Its name is the job's to choose, so it may be one that leaves."""
    parts = key.split("/")
    root = os.path.abspath(destination)
    target = os.path.abspath(os.path.join(root, *parts))
    is_plain = not any(sep in part for part in parts for sep in (os.sep, os.altsep) if sep)
    if check_key_path(key) or not is_plain or os.path.commonpath((root, target)) != root:
        raise BucketError(
            f"result {key!a} would leave {str(destination)!r}",
            "look at it in the bucket; the other results can be fetched with the AWS CLI",
        )
    return Path(target)
