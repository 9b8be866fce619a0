"""Three hundred jobs, and a supervisor and workers that are killed again and again."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import psutil

from .audit import AttemptRow, opened, read_consistent
from .conftest import MakeLive
from .live import LiveEnvironment, wait_until

JOBS = 300
FOLDERS = 60
KILLS = 20
SEED = 20_240_601

STEP = 'echo "{word} $SHOAL_RUN.$SHOAL_ATTEMPT" >> "$LEDGER/{name}"'
FAIL_ONCE = '[ "$SHOAL_ATTEMPT" = 1 ] && exit 1'


def test_kills_lose_no_job_and_double_none(live: MakeLive) -> None:
    """Whatever is killed and however often, each job is settled once, and for its own reasons."""
    environment = live(
        max_interruptions=1_000_000,
        linger_s=0.2,
        lease_s=6,
        backoff_base_s=0.05,
        grace_s=0.5,
    )
    folders = _drop_folders(environment)
    _submit_direct_jobs(environment, JOBS - len(folders))
    killed = _kill_again_and_again(environment, random.Random(SEED))
    assert killed

    assert not environment.processes()
    table = read_consistent(environment.layout.database)
    assert len(table.jobs) == JOBS
    interrupted = []
    for job_id, job in table.jobs.items():
        assert (job.status, job.run) == ("Successful", 1), job
        assert job.failures == (1 if _failed_once(table.attempts[job_id]) else 0), job
        interrupted += [each for each in table.attempts[job_id] if each.ending == "interrupted"]
        _check_ledger(environment.ledger / job_id.split("/")[0], table.attempts[job_id])
    assert interrupted
    assert all(each.worker in killed or "expire" in each.reason for each in interrupted)
    for folder in folders:
        _check_folder(folder)
    _check_nothing_left(environment)


def _kill_again_and_again(environment: LiveEnvironment, chance: random.Random) -> set[str]:
    """Run all jobs to their end, with a kill each time that some more are settled.

    Returns:
        The workers that were killed.
    """
    supervisor = _start(environment)
    killed = set()
    for number in range(1, KILLS + 1):
        _wait_for_settlements(environment, number * JOBS // (KILLS + 1))
        time.sleep(chance.uniform(0.0, 0.05))  # else each kill would come right after a commit
        kind = chance.choice(["worker", "worker", "worker", "supervisor", "all"])
        victims = environment.workers() if kind != "supervisor" else []
        if kind == "worker":
            victims = chance.sample(victims, min(len(victims), chance.randint(1, 4)))
        if kind in ("supervisor", "all"):
            supervisor.kill()
            supervisor.wait()
        for victim in victims:
            try:
                *_, name = victim.cmdline() or ["it is just leaving"]
                victim.kill()
            except psutil.NoSuchProcess:
                continue  # it was done and has left
            killed.add(name)
        if supervisor.poll() is not None:
            supervisor = _start(environment)
    _wait_for_settlements(environment, JOBS)
    assert supervisor.wait(timeout=60) == 0
    return killed


def _start(environment: LiveEnvironment) -> subprocess.Popen[bytes]:
    return environment.start_supervisor("--max-workers", "4", "--until-idle", "--retry", "1")


def _wait_for_settlements(environment: LiveEnvironment, number: int) -> None:
    with opened(environment.layout.database) as connection:
        count = "SELECT count(*) FROM settlement"
        wait_until(
            lambda: connection.execute(count).fetchone()[0] >= number, f"{number} settlements"
        )


def _submit_direct_jobs(environment: LiveEnvironment, number: int) -> None:
    jobs = []
    for index in range(number):
        name = f"direct-{index}"
        steps = [STEP.format(word="start", name=name), "sleep 0.03"]
        if index % 4 == 0:
            steps.append(FAIL_ONCE)
        steps.append(STEP.format(word="end", name=name))
        jobs.append({"job_id": name, "commands": steps, "retry": int(index % 4 == 0)})
    environment.client.submit(*jobs)


def _drop_folders(environment: LiveEnvironment) -> list[Path]:
    """Job folders for the supervisor to find, whose results look like executables."""
    folders = []
    for index in range(FOLDERS):
        folder = environment.layout.root / f"folder-{index}"
        folder.mkdir()
        (folder / "input.txt").write_text(f"{index}\n")
        steps = [
            STEP.format(word="start", name=folder.name),
            "sleep 0.03",
            FAIL_ONCE if index % 4 == 0 else ":",
            'mkdir -p out && cp input.txt out/copy.txt && echo "exit 7" > out/result.sh',
            STEP.format(word="end", name=folder.name),
        ]
        (folder / "run.sh").write_text("\n".join(steps) + "\n")
        folders.append(folder)
    return folders


def _failed_once(attempts: list[AttemptRow]) -> bool:
    """Whether the first attempt came far enough to fail, as a quarter of the jobs then do."""
    assert all(attempt.attempt == 1 for attempt in attempts if attempt.ending == "failed")
    return attempts[0].ending == "failed"


def _check_ledger(ledger: Path, attempts: list[AttemptRow]) -> None:
    """No attempt ran that is not recorded, none twice, and nothing after the settled one."""
    lines = [line.split() for line in ledger.read_text().splitlines()]
    starts = [token for word, token in lines if word == "start"]
    recorded = [f"{attempt.run}.{attempt.attempt}" for attempt in attempts]
    assert len(starts) == len(set(starts))
    assert set(starts) <= set(recorded)
    if any("expire" in attempt.reason for attempt in attempts):
        return  # a worker that was starved for that long has an attempt beside the next one
    assert starts == sorted(starts, key=recorded.index)
    assert lines[-1] == ["end", recorded[-1]]


def _check_folder(folder: Path) -> None:
    number = folder.name.removeprefix("folder-")
    assert (folder / "out" / "copy.txt").read_text() == f"{number}\n"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    assert names == ["input.txt", "out", "out/copy.txt", "out/result.sh", "run.sh"]


def _check_nothing_left(environment: LiveEnvironment) -> None:
    layout = environment.layout
    assert list(layout.work.iterdir()) == []
    assert list(layout.workers.iterdir()) == []
    assert [path for path in layout.bells.rglob("*") if not path.is_dir()] == []
    for log in (layout.logs / "workers").iterdir():
        assert "Traceback" not in log.read_text()
    doctor = environment.run("doctor", "-e", str(layout.root))
    assert doctor.returncode == 0, doctor.stdout
