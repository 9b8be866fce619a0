"""The peers that Shoal is measured against, and the command that measures them alone.

Each runs the same command by sh, and each is asked afterwards what became of its jobs.
"""

import argparse
import contextlib
import json
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from contest import (
    SCENARIOS,
    Contestant,
    Floor,
    Lost,
    Record,
    Row,
    Scenario,
    all_or_lost,
    compare,
    render,
)
from installs import program, python_with, version
from processes import RUN_LIMIT_S, Skipped, ask, child_environment, run_to_end

__all__ = [
    "SCENARIOS",
    "Contestant",
    "Floor",
    "Lost",
    "Record",
    "Row",
    "Scenario",
    "Skipped",
    "all_or_lost",
    "all_peers",
    "compare",
    "render",
]

DRIVERS = Path(__file__).parent / "drivers"

TSP_POLL_S = 0.02
TSP_STOP_LIMIT_S = 5.0
# Submits $2 jobs of the command $1 one after the other, then waits for the last one.
TSP_SUBMIT = """
i=0
while [ "$i" -lt "$2" ]; do tsp sh -c "$1" || exit 1; i=$((i + 1)); done
tsp -w
"""


class Xargs(Contestant):
    """xargs -P: the simplest thing that runs commands side by side."""

    name = "xargs -P"
    record: Record = "none"

    def run(self, command: str, jobs: int, workers: int, folder: Path) -> float:
        """Counts the commands that xargs says it starts; it exits with 0 if all succeeded."""
        xargs = program("xargs", "findutils")
        environment = child_environment(folder)
        self.note = _first_line([xargs, "--version"], environment)
        (folder / "input").write_text("job\n" * jobs)
        # Each input line becomes the shell's $0. The inner sh tells xargs's exit code.
        script = 'xargs -t -n 1 -P "$1" sh -c "$2"; echo $? >code'
        with (
            (folder / "input").open() as lines,
            (folder / "output").open("w") as output,
            (folder / "started").open("w") as started,
        ):
            elapsed_s = run_to_end(
                ["sh", "-c", script, "sh", str(workers), command],
                folder,
                environment=environment,
                input_=lines,
                output=output,
                errors=started,
            )
        if (folder / "code").read_text().strip() != "0":
            raise Lost(jobs, elapsed_s)  # xargs tells that some failed, not which
        commands = (folder / "started").read_text().count("sh -c ")
        return all_or_lost(commands, jobs, elapsed_s)


class Parallel(Contestant):
    """GNU parallel with a job log, from which it can resume."""

    name = "GNU parallel --joblog"
    record: Record = "durable"

    def run(self, command: str, jobs: int, workers: int, folder: Path) -> float:
        """Counts the log's lines with exit code 0 and no signal."""
        parallel = program("parallel", "parallel")
        # PARALLEL_SHELL: it hands the command to `sh -c` itself, so that there is one sh a job.
        environment = {**child_environment(folder), "PARALLEL_SHELL": "/bin/sh"}
        self.note = _first_line([parallel, "--version"], environment)
        if "GNU parallel" not in self.note:
            raise Skipped(f"{parallel} is another program of that name")
        (folder / "input").write_text("job\n" * jobs)
        options = ["--plain", "--will-cite", "--joblog", "log", f"-j{workers}", "-N0"]
        with (folder / "input").open() as lines, (folder / "output").open("w") as output:
            elapsed_s = run_to_end(
                [parallel, *options, command],
                folder,
                environment=environment,
                input_=lines,
                output=output,
            )
        logged = [line.split("\t") for line in (folder / "log").read_text().splitlines()[1:]]
        succeeded = sum(fields[6:8] == ["0", "0"] for fields in logged)
        return all_or_lost(succeeded, jobs, elapsed_s)


class TaskSpooler(Contestant):
    """task-spooler: a queue server of one user; each waiting job is a process."""

    name = "task-spooler"
    record: Record = "in memory"

    def run(self, command: str, jobs: int, workers: int, folder: Path) -> float:
        """Submits by one `tsp` a job, as its users do, and counts the finished in its list."""
        tsp = program("tsp", "task-spooler")
        environment = {
            **child_environment(folder),
            "TS_SOCKET": str(folder / "socket"),
            "TS_MAXFINISHED": str(jobs + 10),
        }
        self.note = _first_line([tsp, "-V"], environment).partition(" - ")[0]
        # The first call starts the server, which inherits its open files: no pipes here.
        run_to_end([tsp, "-S", str(workers)], folder, environment=environment, limit_s=10)
        try:
            started = time.perf_counter()
            submit = ["sh", "-c", TSP_SUBMIT, "sh", command, str(jobs)]
            run_to_end(submit, folder, environment=environment)
            succeeded = self._wait_for_all(tsp, environment)
            elapsed_s = time.perf_counter() - started
        finally:
            self._stop(tsp, environment)
        return all_or_lost(succeeded, jobs, elapsed_s)

    def _wait_for_all(self, tsp: str, environment: dict[str, str]) -> int:
        """The last submitted job need not be the last to end: look until none is left."""
        last_look = time.monotonic() + RUN_LIMIT_S
        while True:
            listed = [line.split() for line in ask([tsp, "-l"], environment).splitlines()[1:]]
            states = [fields[1] for fields in listed]
            if "running" not in states and "queued" not in states:
                return sum(fields[1] == "finished" and fields[3] == "0" for fields in listed)
            if time.monotonic() > last_look:
                raise Skipped(f"not finished within {RUN_LIMIT_S:.0f} s")
            time.sleep(TSP_POLL_S)

    def _stop(self, tsp: str, environment: dict[str, str]) -> None:
        """Its manual: `tsp -K` may return before the server has gone. The socket goes last."""
        ask([tsp, "-K"], environment)
        last_look = time.monotonic() + TSP_STOP_LIMIT_S
        while Path(environment["TS_SOCKET"]).exists() and time.monotonic() < last_look:
            time.sleep(TSP_POLL_S)


class PythonPeer(Contestant):
    """A peer from PyPI, run by a driver of ours inside the peers' virtualenv."""

    package: str
    remark: str

    def run(self, command: str, jobs: int, workers: int, folder: Path) -> float:
        """The driver takes the time and counts; servers live and die with it."""
        python = python_with(self.package)
        self.note = f"{version(self.package)}, {self.remark}"
        driver = str(DRIVERS / f"{self.package}_driver.py")
        with (folder / "driver.log").open("w+") as log:
            run_to_end(
                [str(python), driver, command, str(jobs), str(workers)],
                folder,
                environment=child_environment(folder),
                output=log,
                errors=log,
            )
            log.seek(0)
            said = log.read().strip().splitlines()
        with contextlib.suppress(FileNotFoundError):
            outcome = json.loads((folder / "outcome.json").read_text())
            return all_or_lost(outcome["succeeded"], jobs, outcome["elapsed_s"])
        raise Skipped(f"its driver failed: {said[-1][:100] if said else 'without a word'}")


class HyperQueue(PythonPeer):
    """HyperQueue's LocalCluster: server and workers in one process, written in Rust."""

    name = "HyperQueue"
    record: Record = "in memory"
    package = "hyperqueue"
    remark = "LocalCluster, output in files"


class Huey(PythonPeer):
    """huey on SQLite, synced to disk at each commit."""

    name = "huey, SQLite"
    record: Record = "durable"
    package = "huey"
    remark = "fsync, worker processes"


class Parsl(PythonPeer):
    """Parsl's thread pool: futures inside one Python process."""

    name = "Parsl threads"
    record: Record = "in memory"
    package = "parsl"
    remark = "output thrown away"


def all_peers() -> list[Contestant]:
    """Return one of each peer, the simplest first."""
    return [Xargs(), Parallel(), TaskSpooler(), HyperQueue(), Huey(), Parsl()]


def main() -> None:
    """Measure the floor and the peers, and print a table for each scenario."""
    parser = argparse.ArgumentParser(description="Measure the peers against a bare spawn loop.")
    parser.add_argument("--scenario", choices=SCENARIOS, help="default: each of them")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--jobs", type=int, help="run so many jobs, for a quick try")
    chosen = parser.parse_args()
    # The peers run in sessions of their own: end them on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    names = [chosen.scenario] if chosen.scenario else list(SCENARIOS)
    for name in names:
        scenario = SCENARIOS[name]
        if chosen.jobs is not None:
            scenario = replace(scenario, jobs=chosen.jobs)
        rows = compare(all_peers(), scenario, chosen.rounds)
        print(f"{scenario}, median of {chosen.rounds} rounds")
        print(render(rows), flush=True)
        print()


def _first_line(arguments: list[str], environment: dict[str, str]) -> str:
    return ask(arguments, environment).partition("\n")[0]


if __name__ == "__main__":
    main()
