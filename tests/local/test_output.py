"""Output without end: it goes to a file, and is searched without being held in memory."""

from __future__ import annotations

from shoal.core.job import Status

from .place import Place

OUTPUT_MB = 256
WORKER_MB = 100


def test_long_output_is_searched_to_the_end_in_little_memory(place: Place) -> None:
    """A success string at the very end of a long output is found; the worker stays small."""
    make = f"yes '0123456789 almost DONE' | head -c {OUTPUT_MB << 20}"
    place.submit(
        {"job_id": "found", "commands": [make, "printf 'all DONE'"], "job_success_string": "all D"},
        {"job_id": "failed", "commands": [make, "exit 1"]},
        # The same worker ran those before, and the kernel remembers the most memory it ever had.
        {"job_id": "size", "commands": ["grep VmHWM /proc/$PPID/status"]},
    )
    place.work()
    assert place.statuses() == {
        "found": Status.SUCCESSFUL,
        "failed": Status.FAILED,
        "size": Status.SUCCESSFUL,
    }
    assert "last output:" in place.reason("failed")
    assert len(place.reason("failed")) < 1000
    workers = {place.attempts(job_id)[0].worker for job_id in ("found", "failed", "size")}
    assert len(workers) == 1
    _, kilobytes, _ = place.output("size").split()
    assert int(kilobytes) < WORKER_MB << 10
    for path in place.layout.logs.rglob("*.log"):
        path.unlink()


def test_one_line_without_end_is_cut_in_the_reason(place: Place) -> None:
    """The last words of a failure fit a table, however long the line is."""
    place.submit({"job_id": "a", "commands": ["head -c 3000000 /dev/zero | tr '\\0' x; exit 1"]})
    place.work()
    assert place.reason("a").startswith("exit code 1, last output: xxx")
    assert len(place.reason("a")) < 1000
    assert len(place.output("a")) == 3_000_000
