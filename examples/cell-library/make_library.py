"""Gather the results: `python3 make_library.py JOBS OUT` writes summary.csv and a .lib a corner.

Exit code: 0 with every result, 1 with some missing, which are named.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

MIDDLE = (80.0, 6.0)
"""Slew in ps and load in fF of the point that stands for a cell in the summary."""
AREAS_UM2 = {"INV_X1": 1.1, "NAND2_X1": 1.6, "NOR2_X1": 1.8}

HEADER = """\
library ({name}) {{
  technology (cmos);
  delay_model : table_lookup;
  time_unit : "1ps";
  voltage_unit : "1V";
  current_unit : "1uA";
  pulling_resistance_unit : "1kohm";
  capacitive_load_unit (1, ff);
  nom_process : 1;
  nom_voltage : {voltage_v};
  nom_temperature : {temperature_c};
  operating_conditions ({process}) {{
    process : 1;
    voltage : {voltage_v};
    temperature : {temperature_c};
  }}
  default_operating_conditions : {process};
  input_threshold_pct_rise : 50;
  input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50;
  output_threshold_pct_fall : 50;
  slew_lower_threshold_pct_rise : 20;
  slew_lower_threshold_pct_fall : 20;
  slew_upper_threshold_pct_rise : 80;
  slew_upper_threshold_pct_fall : 80;
  lu_table_template (timing) {{
    variable_1 : input_net_transition;
    variable_2 : total_output_net_capacitance;
    index_1 ("{slews}");
    index_2 ("{loads}");
  }}
  power_lut_template (energy) {{
    variable_1 : input_transition_time;
    variable_2 : total_output_net_capacitance;
    index_1 ("{slews}");
    index_2 ("{loads}");
  }}
"""
TIMING = ("cell_rise", "rise_transition", "cell_fall", "fall_transition")
POWER = ("rise_power", "fall_power")


class Point(NamedTuple):
    """One point of an arc's tables, in the units of the Liberty file: ps, fF, fJ."""

    pin: str
    slew: float
    load: float
    values: dict[str, float]
    input_capacitance: float


class Result(NamedTuple):
    """One cell at one corner."""

    about: dict[str, Any]
    points: list[Point]

    @property
    def corner(self) -> str:
        """The corner's name."""
        about = self.about
        return f"{about['process']}_{about['voltage_v']:.2f}V_{about['temperature_c']}C"


def read_result(folder: Path) -> Result | None:
    """The result of a job folder; None when there is none, or a point of it is missing."""
    about = json.loads((folder / "corner.json").read_text(encoding="utf-8"))
    try:
        with open(folder / "measures.txt", encoding="utf-8") as file:
            points = [
                _point(row, about["voltage_v"]) for row in csv.DictReader(file, delimiter=" ")
            ]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    complete = points and all(all(point.values[name] > 0 for name in TIMING) for point in points)
    return Result(about, points) if complete else None


def _point(row: dict[str, str], supply_v: float) -> Point:
    load_f = float(row["load_f"])
    values = {name: float(row[f"{name}_s"]) * 1e12 for name in TIMING}
    # What the supply gave, less what went into the load and is no business of the cell's.
    values["rise_power"] = (-float(row["rise_charge_c"]) - load_f * supply_v) * supply_v * 1e15
    values["fall_power"] = -float(row["fall_charge_c"]) * supply_v * 1e15
    input_capacitance = -float(row["input_charge_c"]) / supply_v * 1e15
    return Point(row["pin"], float(row["slew_s"]) * 1e12, load_f * 1e15, values, input_capacitance)


def _axis(values: set[float]) -> str:
    return ", ".join(f"{value:g}" for value in sorted(values))


def _table(points: list[Point], name: str, template: str) -> list[str]:
    lines = [f"        {name} ({template}) {{", "          values ( \\"]
    rows = []
    for slew in sorted({point.slew for point in points}):
        row = sorted((p.load, p.values[name]) for p in points if p.slew == slew)
        rows.append('            "' + ", ".join(f"{value:.3f}" for _, value in row) + '"')
    return [*lines, ", \\\n".join(rows) + " );", "        }"]


def _cell(result: Result) -> list[str]:
    name, function = result.about["cell"], result.about["function"]
    lines = [f"  cell ({name}) {{", f"    area : {AREAS_UM2[name]};"]
    arcs = []
    for pin in result.about["inputs"]:
        points = [point for point in result.points if point.pin == pin]
        capacitance = sum(point.input_capacitance for point in points) / len(points)
        lines += [f"    pin ({pin}) {{", "      direction : input;"]
        lines += [f"      capacitance : {capacitance:.3f};", "    }"]
        arcs += [
            "      timing () {",
            f'        related_pin : "{pin}";',
            "        timing_sense : negative_unate;",
        ]
        arcs += [line for table in TIMING for line in _table(points, table, "timing")]
        arcs += ["      }", "      internal_power () {", f'        related_pin : "{pin}";']
        arcs += [line for table in POWER for line in _table(points, table, "energy")]
        arcs += ["      }"]
    lines += ["    pin (Y) {", "      direction : output;", f'      function : "{function}";']
    return [*lines, *arcs, "    }", "  }"]


def liberty(results: list[Result]) -> str:
    """The Liberty file of one corner."""
    first = results[0]
    points = first.points
    header = HEADER.format(
        name=f"cells_{first.corner}".replace("-", "m").replace(".", "p"),
        slews=_axis({point.slew for point in points}),
        loads=_axis({point.load for point in points}),
        **first.about,
    )
    return header + "\n".join(line for result in results for line in _cell(result)) + "\n}\n"


def summary(result: Result) -> list[Any]:
    """A line of summary.csv: the slower of all inputs, and what a cycle up and down takes."""
    middle = [p for p in result.points if (round(p.slew, 3), round(p.load, 3)) == MIDDLE]
    rise = max(point.values["cell_rise"] for point in middle)
    fall = max(point.values["cell_fall"] for point in middle)
    energy = max(point.values["rise_power"] + point.values["fall_power"] for point in middle)
    about = result.about
    corner = [about["cell"], about["process"], about["voltage_v"], about["temperature_c"]]
    return [*corner, f"{rise:.2f}", f"{fall:.2f}", f"{energy:.3f}"]


def main(jobs: Path, out: Path) -> int:
    """Write all files, print the summary; return the exit code."""
    folders = sorted(path.parent for path in jobs.glob("*/corner.json"))
    found = {folder.name: read_result(folder) for folder in folders}
    results = [result for result in found.values() if result is not None]
    out.mkdir(parents=True, exist_ok=True)
    for corner in sorted({result.corner for result in results}):
        cells = [result for result in results if result.corner == corner]
        (out / f"cells_{corner}.lib").write_text(liberty(cells), encoding="utf-8")
    titles = ["cell", "process", "voltage_v", "temperature_c", "rise_ps", "fall_ps", "energy_fj"]
    rows = [titles, *(summary(result) for result in results)]
    with open(out / "summary.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    for row in rows:
        print("".join(f"{text!s:<14}" for text in row).rstrip())
    missing = [name for name, result in found.items() if result is None]
    if missing or not results:
        print(f"no result in {len(missing)} of {len(found)} folders: {', '.join(missing[:5])} ...")
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("make_library.py: usage: python3 collect.py JOBS OUT")
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
