"""Nothing of one attempt reaches the next: no file, no mode, no process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shoal.core.job import Status
from shoal.local.fleet import LocalFleet

from .mounts import mounted
from .place import Place, is_gone, wait_until

CHECK = (
    '[ -z "$(ls -A)" ] && [ "$(stat -c %a .)" = "$(cat "$SHOAL_ENV/mode")" ]'
    ' && touch new && case "$PWD" in */.shoal/work/*) ;; *) false ;; esac'
)

DIRTY = {
    "nothing": "true",
    "file": "echo x > file",
    "hidden": "echo x > .hidden",
    "no-dot": "mkdir -p sub/sub; echo x > sub/sub/file",
    "dash": "echo x > -rf; echo x > ' '",
    "mode": "chmod 700 .",
    "sticky": "chmod +t .",
    "shut": "chmod 000 .",
    "shut-below": "mkdir -p a/b; echo x > a/b/c; chmod 000 a/b a",
    "link": "ln -s / root; ln -s . self",
    "pipe": "mkfifo pipe",
    "come-and-gone": "touch x; rm x",
    "replaced": 'mv "$PWD" "$PWD.old"; mkdir "$PWD"; echo x > "$PWD/file"',
    "removed": 'rmdir "$PWD"',
    "a-file-instead": 'rmdir "$PWD"; echo x > "$PWD"',
    "a-link-instead": 'rmdir "$PWD"; ln -s / "$PWD"',
    "failed": "echo x > file; exit 1",
    "many": "for i in 1 2 3 4 5 6 7 8 9; do mkdir $i; echo x > $i/x; done",
}


def jobs() -> Iterator[dict[str, Any]]:
    """Each job that makes a mess, followed by one that looks for it."""
    for name, script in DIRTY.items():
        yield {"job_id": name, "commands": [script]}
        yield {"job_id": f"after-{name}", "commands": [CHECK]}


def assert_clean(place: Place) -> None:
    """No checking job found anything, and nothing is left now."""
    statuses = place.statuses()
    dirty = {name: statuses[name] for name in statuses if name.startswith("after-")}
    assert dirty == dict.fromkeys((f"after-{name}" for name in DIRTY), Status.SUCCESSFUL)
    assert not [path for path in place.layout.work.iterdir() if not path.name.endswith(".old")]


@pytest.mark.parametrize("plain", [False, True], ids=["root", "plain"])
def test_each_attempt_has_a_fresh_work_folder(place: Place, plain: bool) -> None:
    """An attempt starts in an empty folder of the usual mode, whatever the last did to its own."""
    mode = 0o777 & ~_umask()
    place.put("mode", f"{mode:o}")
    place.submit(*jobs())
    place.work(plain=plain)
    assert_clean(place)


def test_a_fresh_work_folder_where_clocks_are_coarse(tmp_path: Path) -> None:
    """A quick change is seen on a file system whose times stand still for milliseconds, too."""
    with mounted(tmp_path / "disk", "ramfs") as disk:
        place = Place(disk / "jobs")
        place.put("mode", f"{0o777 & ~_umask():o}")
        quick = [
            {"job_id": f"{kind}{number:02}", "commands": [script]}
            for number in range(20)
            for kind, script in (("a", "true"), ("b", ": > file"), ("c", "[ ! -e file ]"))
        ]
        place.submit(*jobs(), *quick)
        try:
            place.work()
            statuses = place.statuses()
            assert_clean(place)
            assert [name for name in statuses if statuses[name] == Status.FAILED] == ["failed"]
        finally:
            place.clear()


def test_nothing_an_attempt_started_outlives_it(place: Place) -> None:
    """Background processes, daemons, and those that shed their environment end with the attempt."""
    detach = {
        "background": "sleep 1000 & echo $! > $SHOAL_ENV/background",
        "nohup": "nohup sleep 1000 > /dev/null & echo $! > $SHOAL_ENV/nohup",
        "daemon": "setsid sh -c 'echo $$ > $SHOAL_ENV/daemon; exec sleep 1000' &",
        "twice": "setsid sh -c 'setsid sh -c \"echo \\$\\$ > $SHOAL_ENV/twice; sleep 1000\" &' &",
        "bare": "at=$SHOAL_ENV/bare; env -i setsid sh -c 'echo $$ > '$at'; exec sleep 1000' &",
        "stubborn": 'setsid sh -c \'trap "" TERM HUP INT; echo $$ > $SHOAL_ENV/stubborn;'
        " while :; do sleep 1; done' &",
    }
    for name, script in detach.items():
        wait = f"while [ ! -s $SHOAL_ENV/{name} ]; do sleep 0.01; done"
        place.submit({"job_id": name, "commands": [script, wait]})
        # The worker still lives and works when the check is made.
        place.submit(
            {
                "job_id": f"after-{name}",
                "commands": [f'kill -0 "$(cat $SHOAL_ENV/{name})" 2>/dev/null && exit 1; true'],
            }
        )
    place.work()
    assert set(place.statuses().values()) == {Status.SUCCESSFUL}
    for name in detach:
        assert is_gone(int((place.root / name).read_text()))


@pytest.mark.parametrize("killed", [False, True], ids=["in-order", "killed"])
def test_a_job_cannot_hide_its_processes(place: Place, killed: bool) -> None:
    """Setting the variable that marks a worker's processes does not save them from their end."""
    pid = place.root / "pid"
    place.submit(
        {
            "job_id": "hides",
            "environment": {"SHOAL_WORKER_ID": "somebody-else"},
            "commands": [
                "setsid sh -c 'echo $$ > $SHOAL_ENV/pid; exec sleep 1000' &",
                "while [ ! -e $SHOAL_ENV/go ]; do sleep 0.01; done",
            ],
        }
    )
    worker = place.start_worker()
    wait_until(lambda: pid.exists() and pid.read_text())
    place.put("go")
    if killed:
        worker.kill()
    worker.communicate()
    LocalFleet(place.layout).reclaim_lost()
    assert is_gone(int(pid.read_text()))


def test_a_killed_workers_processes_end_before_its_job_runs_again(place: Place) -> None:
    """A job whose worker was killed is not started while its old attempt still runs."""
    place.submit(
        {
            "job_id": "a",
            "commands": [
                'if [ "$SHOAL_ATTEMPT" = 1 ]; then',
                "setsid sh -c 'echo $$ > $SHOAL_ENV/pid; exec sleep 1000' & sleep 1000",
                # Whoever inherited it may not have reaped it yet.
                "elif [ -e /proc/$(cat $SHOAL_ENV/pid) ]; then",
                "grep '^State:.*Z' /proc/$(cat $SHOAL_ENV/pid)/status; fi",
            ],
        }
    )
    worker = place.start_worker()
    wait_until(lambda: (place.root / "pid").exists() and (place.root / "pid").read_text())
    worker.kill()
    worker.communicate()
    place.up()
    assert place.job("a").status == Status.SUCCESSFUL
    assert place.job("a").interruptions == 1


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
