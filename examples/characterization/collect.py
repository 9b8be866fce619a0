"""Gather the results of a sweep into one table: `python3 collect.py DEST`.

Exit code: 0 with every result, 1 with some missing, 2 when DEST holds no job folder.
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple

HEADINGS = ("corner", "rise ps", "fall ps", "energy fJ", "leakage nW")


class Measures(NamedTuple):
    """What the table shows of one result.json; the fields are its keys."""

    delay_rise_ps: float
    delay_fall_ps: float
    energy_fj: float
    leakage_nw: float

    @property
    def delay_ps(self) -> float:
        """The slower of both edges: what limits the clock."""
        return max(self.delay_rise_ps, self.delay_fall_ps)


class Row(NamedTuple):
    """One corner; `measures` is None when its folder has no readable result."""

    corner: str
    measures: Measures | None


def collect(dest: Path) -> list[Row]:
    """One row per job folder in `dest`, sorted by name. Other folders are ignored."""
    folders = sorted(path.parent for path in dest.glob("*/corner.json"))
    return [Row(folder.name, _read_measures(folder / "result.json")) for folder in folders]


def _read_measures(path: Path) -> Measures | None:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        return Measures(*(float(result[key]) for key in Measures._fields))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no result yet, or one that is half written


def render(rows: list[Row]) -> str:
    """The table, then the slowest and fastest corner, then the corners without a result."""
    width = max([len(HEADINGS[0]), *(len(row.corner) for row in rows)])
    lines = [f"{HEADINGS[0]:<{width}}" + "".join(f"{title:>12}" for title in HEADINGS[1:])]
    done = [(row.corner, row.measures) for row in rows if row.measures is not None]
    for corner, m in done:
        lines.append(
            f"{corner:<{width}}{m.delay_rise_ps:>12.2f}{m.delay_fall_ps:>12.2f}"
            f"{m.energy_fj:>12.2f}{m.leakage_nw:>12.2f}"
        )
    if done:
        by_delay = sorted(done, key=lambda pair: pair[1].delay_ps)
        for word, (corner, m) in (("slowest", by_delay[-1]), ("fastest", by_delay[0])):
            lines.append(f"{word}: {corner}, {m.delay_ps:.2f} ps")
    missing = [row.corner for row in rows if row.measures is None]
    if missing:
        lines.append(f"no result yet ({len(missing)} of {len(rows)}): {', '.join(missing)}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print the table of the folder named by the only argument; return the exit code."""
    if len(arguments) != 1:
        print("collect.py: usage: python3 collect.py DEST", file=sys.stderr)
        return 2
    rows = collect(Path(arguments[0]))
    if not rows:
        print(
            f"collect.py: no job folders in {arguments[0]}: write some with make_jobs.py",
            file=sys.stderr,
        )
        return 2
    print(render(rows))
    return 1 if any(row.measures is None for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
