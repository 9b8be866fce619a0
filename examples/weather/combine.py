"""Put all stations together: `python3 combine.py STATIONS OUT.CSV`, the mean by month and hour.

Prints a line a station. Exit code: 0 when the readings of all stations add up to what was written,
else 1.
"""

import csv
import sys
from pathlib import Path
from typing import Any

KINDS = ("good", "missing", "nonsense", "stuck")


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a table."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main(stations: Path, out: Path) -> int:
    """Combine and compare; return the exit code."""
    right = True
    lines: list[list[Any]] = []
    print(f"{'station':<10}{'mean C':>8}" + "".join(f"{kind:>10}" for kind in KINDS))
    for written in read(Path(f"{stations}.csv")):
        folder = stations / written["station"]
        hours = read(folder / "hours.csv")
        with open(folder / "counts.csv", encoding="utf-8", newline="") as file:
            counts = {kind: int(count) for kind, count in csv.reader(file)}
        right &= all(counts.get(kind, 0) == int(written[kind]) for kind in KINDS)
        right &= sum(int(row["readings"]) for row in hours) == counts["good"]
        mean_c = sum(float(row["sum_c"]) for row in hours) / counts["good"]
        figures = "".join(f"{counts.get(kind, 0):>10}" for kind in KINDS)
        print(f"{folder.name:<10}{mean_c:>8.2f}{figures}")
        for row in hours:
            cell_c = float(row["sum_c"]) / int(row["readings"])
            place = [folder.name, written["altitude_m"], row["month"], row["hour"]]
            extremes = [row["lowest_c"], row["highest_c"]]
            lines.append([*place, row["readings"], f"{cell_c:.3f}", *extremes])
    titles = ["station", "altitude_m", "month", "hour"]
    titles += ["readings", "mean_c", "lowest_c", "highest_c"]
    with open(out, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([titles, *lines])
    print("everything adds up" if right else "the sums differ from what was written")
    return 0 if right else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("combine.py: usage: python3 combine.py STATIONS OUT.CSV")
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
