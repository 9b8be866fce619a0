"""Compare all beams with theory: `python3 compare.py RESULTS` prints a table.

Exit code: 0 when every beam agrees with theory within 3%, else 1.
"""

import json
import sys
from pathlib import Path

TOLERANCE_PERCENT = 3.0
TITLES = ("material", "length mm", "height mm", "bends mm", "theory mm", "off %")
STRESS_TITLES = ("stress MPa", "theory MPa", "off %")


def main(folder: Path) -> int:
    """Print the table; return the exit code."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("result.json")]
    results.sort(key=lambda one: (one["material"], one["length_mm"], one["height_mm"]))
    print("".join(f"{title:>11}" for title in TITLES + STRESS_TITLES))
    worst = 0.0
    for one in results:
        line = f"{one['material']:>11}{one['length_mm']:>11.0f}{one['height_mm']:>11.0f}"
        for name in ("deflection_mm", "stress_mpa"):
            found, theory = one[name], one[f"theory_{name}"]
            off_percent = 100 * (found / theory - 1)
            worst = max(worst, abs(off_percent))
            line += f"{found:>11.4g}{theory:>11.4g}{off_percent:>11.2f}"
        print(line)
    print(f"{len(results)} beams, at most {worst:.2f} % off")
    return 0 if results and worst <= TOLERANCE_PERCENT else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("compare.py: usage: python3 collect.py RESULTS")
    sys.exit(main(Path(sys.argv[1])))
