"""`make bench`: Shoal beside its peers and a bare spawn loop, and its own figures."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import figures
from contender import Shoal
from contest import SCENARIOS, compare, render
from figures import Figure
from peers import all_peers


def main() -> None:
    """Measure and print everything, or what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*SCENARIOS, "figures"], help="default: everything")
    parser.add_argument("--rounds", type=int, default=5, help="of each contest; default: 5")
    parser.add_argument("--no-peers", action="store_true", help="Shoal and the floor alone")
    parser.add_argument("--jobs", type=int, default=figures.MILLION, help="for the bulk figures")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for name, scenario in SCENARIOS.items():
        if chosen.only in (None, name):
            peers = [] if chosen.no_peers else all_peers()
            rows = compare([Shoal(), *peers], scenario, chosen.rounds)
            print(f"{scenario}, median of {chosen.rounds} rounds\n{render(rows)}\n", flush=True)
    if chosen.only in (None, "figures"):
        _print_figures(chosen.jobs)


def _print_figures(jobs: int) -> None:
    measures: tuple[Callable[[Path], list[Figure]], ...] = (
        figures.latency,
        lambda folder: [*figures.bulk(folder, jobs), *figures.pages(folder, jobs)],
        lambda folder: figures.bulk_file(folder, min(jobs, 300_000)),
        lambda _: figures.startup(),
        figures.small_status,
        lambda folder: figures.idle(folder, 20.0),
    )
    found = []
    for measure in measures:
        with tempfile.TemporaryDirectory(prefix="shoal-bench-") as folder:
            found += measure(Path(folder))
    width = max(len(figure.what) for figure in found)
    middle = max(len(figure.measured) for figure in found)
    for what, measured, goal in found:
        print(f"{what:<{width}}  {measured:<{middle}}  goal: {goal}")


if __name__ == "__main__":
    main()
