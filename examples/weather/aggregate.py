"""One station's readings, sorted out and summed up by month and hour: writes `hours.csv`.

`python3 aggregate.py READINGS.CSV`. The last line of output counts the readings. It says so when
each was either good or set aside for a reason; a file that breaks off gives an error instead.
"""

import csv
import sys
from collections import Counter, defaultdict
from pathlib import Path

RANGE_C = (-60.0, 60.0)
STANDS_STILL = 6
"""So many equal readings in a row are a sensor that hangs, not weather."""
HOURS_A_YEAR = 365 * 24


def judge(texts: list[str]) -> list[str]:
    """For each reading whether it is good, missing, nonsense or stuck."""
    kinds = []
    for text in texts:
        try:
            value = float(text)
        except ValueError:
            kinds.append("nonsense" if text else "missing")
            continue
        kinds.append("good" if RANGE_C[0] <= value <= RANGE_C[1] else "nonsense")
    at = 0
    while at < len(texts):
        end = at
        while end < len(texts) and texts[end] == texts[at]:
            end += 1
        if kinds[at] == "good" and end - at >= STANDS_STILL:
            kinds[at + 1 : end] = ["stuck"] * (end - at - 1)
        at = end
    return kinds


def main(path: Path) -> int:
    """Read, judge, sum up; return the exit code."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != HOURS_A_YEAR:
        print(f"{path}: {len(rows)} readings instead of {HOURS_A_YEAR}", file=sys.stderr)
        return 1
    kinds = judge([row["temperature_c"] for row in rows])
    cells: dict[tuple[int, int], list[float]] = defaultdict(list)
    for row, kind in zip(rows, kinds, strict=True):
        if kind == "good":
            time = row["time"]  # 2025-01-31T23:00Z
            cells[int(time[5:7]), int(time[11:13])].append(float(row["temperature_c"]))
    with open("hours.csv", "w", encoding="utf-8", newline="") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(["month", "hour", "readings", "sum_c", "lowest_c", "highest_c"])
        for (month, hour), values in sorted(cells.items()):
            numbers = [f"{number:.2f}" for number in (sum(values), min(values), max(values))]
            table.writerow([month, hour, len(values), *numbers])
    counts = Counter(kinds)
    with open("counts.csv", "w", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows(sorted(counts.items()))
    words = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    print(f"ALL {len(rows)} ACCOUNTED FOR: {words}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("aggregate.py: usage: python3 aggregate.py READINGS.CSV")
    sys.exit(main(Path(sys.argv[1])))
