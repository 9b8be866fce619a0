"""Objects in the bucket that start no job: results, refused ones, and those submitted by hand."""

from __future__ import annotations

import pytest

from shoal.core.job import Status
from shoal.ports import JobStore
from shoal.testing.conformance.base import (
    GOOD,
    NOW,
    StoreTests,
    claim,
    folder_submission,
    settle,
)


class Objects(StoreTests):
    """Tests of `record_results`, `results`, `refuse`, `disarm` and `starts_no_job`."""

    def test_an_unknown_object_may_start_a_job(self, store: JobStore) -> None:
        """An object that nobody has said anything about is not held back."""
        assert not store.starts_no_job("f/run.sh", "v1")

    def test_results_start_no_job(self, store: JobStore) -> None:
        """A result that happens to end in the trigger suffix starts no job, in that version."""
        store.submit([folder_submission("f/run.sh", "v1")], NOW)
        store.record_results(claim(store), {"f/out.sh": "v1", "f/deep/out.txt": "v2"})
        assert store.starts_no_job("f/out.sh", "v1")
        assert not store.starts_no_job("f/out.sh", "v2")
        assert not store.starts_no_job("f/run.sh", "v1")

    def test_results_are_listed_by_job(self, store: JobStore) -> None:
        """The keys that a job has staged out are known, each once, also when it is over."""
        store.submit([folder_submission(f"{name}/run.sh", "v1") for name in ("f", "g")], NOW)
        job = claim(store)
        store.record_results(job, {"f/a": "v1", "f/b/c": "v1"})
        store.record_results(job, {"f/a": "v2", "f/ü": "v2", "f/\udcff": "v2"})
        settle(store, job, GOOD)
        assert sorted(store.results("f/run.sh")) == ["f/a", "f/b/c", "f/ü", "f/\udcff"]
        assert store.results("g/run.sh") == []
        assert store.results("nobody") == []

    def test_no_version_of_a_result_is_forgotten(self, store: JobStore) -> None:
        """A result that was staged out again starts no job in its earlier version either."""
        store.submit([folder_submission("f/run.sh", "v1")], NOW)
        job = claim(store)
        for version in ("v1", "v2"):
            store.record_results(job, {"f/out.sh": version})
        store.disarm("f/out.sh", "v3")
        assert [store.starts_no_job("f/out.sh", f"v{number}") for number in range(1, 5)] == [
            True,
            True,
            True,
            False,
        ]
        assert store.results("f/run.sh") == ["f/out.sh"]

    def test_many_results_are_recorded(self, store: JobStore) -> None:
        """A job may stage out thousands of files."""
        store.submit([folder_submission("f/run.sh", "v1")], NOW)
        results = {f"f/{number:05}.sh": f"v{number}" for number in range(3000)}
        store.record_results(claim(store), results)
        assert sorted(store.results("f/run.sh")) == [*results]
        assert store.starts_no_job("f/02999.sh", "v2999")

    def test_a_refused_object_is_a_failed_one(self, store: JobStore) -> None:
        """What can't become a job is on the failed queue, with the reason, and is no job."""
        store.refuse("f/bad.sh", "v1", "holds control characters", NOW)
        [line] = store.settlements(0, 10)
        assert (line.job_id, line.run, line.status) == (None, 0, Status.FAILED)
        assert (line.reason, line.settled_at) == ("holds control characters", NOW)
        assert '"f/bad.sh"' in line.job
        assert store.counts().total == 0
        assert store.starts_no_job("f/bad.sh", "v1")

    def test_an_object_is_refused_once_a_version(self, store: JobStore) -> None:
        """A refusal that is repeated says nothing new; a new version is refused anew."""
        store.refuse("f/bad.sh", "v1", "is a link", NOW)
        store.refuse("f/bad.sh", "v1", "is a link", NOW + 1)
        assert len(store.settlements(0, 10)) == 1
        store.refuse("f/bad.sh", "v2", "is still a link", NOW + 2)
        assert [line.reason for line in store.settlements(0, 10)] == [
            "is a link",
            "is still a link",
        ]

    def test_a_disarmed_object_starts_no_job(self, store: JobStore) -> None:
        """An object submitted by hand starts no second job; its next version may."""
        store.disarm("f/run.sh", "v1")
        assert store.starts_no_job("f/run.sh", "v1")
        assert not store.starts_no_job("f/run.sh", "v2")
        store.disarm("f/run.sh", "v2")
        assert store.starts_no_job("f/run.sh", "v2")
        assert store.settlements(0, 10) == []

    @pytest.mark.parametrize(
        "key", ["f/\udcff.sh", "f/'); --.sh", "f/\n.sh", "f/%_*.sh"], ids=ascii
    )
    def test_keys_are_data(self, store: JobStore, key: str) -> None:
        """Any key can be refused or disarmed, also one that is not valid UTF-8."""
        assert not store.starts_no_job(key, "v1")
        store.refuse(key, "v1", "can't be a job", NOW)
        assert store.starts_no_job(key, "v1")
        assert not store.starts_no_job("f/other.sh", "v1")
        assert len(store.settlements(0, 10)) == 1
        store.disarm(key, "v2")
        assert store.starts_no_job(key, "v2")
