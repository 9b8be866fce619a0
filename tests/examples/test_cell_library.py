"""Characterising cells with ngspice: the numbers behave as silicon does."""

from __future__ import annotations

import re
from pathlib import Path

import shoal

from .guide import follow, need, table

Key = tuple[str, str, float]
TABLE = re.compile(r"(\w+) \((?:timing|energy)\) \{\s*values \((.*?)\);", re.DOTALL)


def test_the_readme_gives_a_library(tmp_path: Path) -> None:
    """27 jobs become 9 Liberty files; slow, cold in voltage and loaded means slow."""
    need("ngspice", "ngspice")
    folder = follow("cell-library", tmp_path).folder

    rows = table(folder / "lib/summary.csv")
    assert len(rows) == 27
    at: dict[Key, dict[str, float]] = {
        (row["cell"], row["process"], float(row["voltage_v"])): {
            name: float(row[name]) for name in ("rise_ps", "fall_ps", "energy_fj")
        }
        for row in rows
    }
    for (cell, process, voltage_v), found in at.items():
        if higher := at.get((cell, process, round(voltage_v + 0.2, 1))):
            assert found["rise_ps"] > higher["rise_ps"] > 0, "delay falls as voltage rises"
            assert found["fall_ps"] > higher["fall_ps"] > 0
            assert 0 < found["energy_fj"] < higher["energy_fj"], "and energy grows"
    for cell, _, voltage_v in at:
        slow, typical, fast = (at[cell, process, voltage_v] for process in ("ss", "tt", "ff"))
        assert slow["rise_ps"] > typical["rise_ps"] > fast["rise_ps"]
        assert slow["fall_ps"] > typical["fall_ps"] > fast["fall_ps"]

    libraries = sorted((folder / "lib").glob("*.lib"))
    assert len(libraries) == 9
    for library in libraries:
        check_library(library.read_text())

    with shoal.connect(folder / "jobs", create=False) as jobs:
        twice = {job.job_id for job in jobs.jobs() if job.attempt == 2}
    wanted = {f"{cell}_ss_0.80V_25C/run.sh" for cell in ("INV_X1", "NAND2_X1", "NOR2_X1")}
    assert twice == wanted, "only what is too slow for the first window is simulated again"


def check_library(text: str) -> None:
    """A Liberty file: balanced, with tables that grow with the load, line by line."""
    assert text.count("{") == text.count("}")
    assert text.count("  cell (") == 3
    found = TABLE.findall(text)
    assert len(found) == 5 * 6, "six tables for each of five arcs"
    for name, values in found:
        lines = [
            [float(number) for number in line.split(",")] for line in re.findall('"(.*?)"', values)
        ]
        assert [len(line) for line in lines] == [3, 3, 3]
        if name.endswith("_power"):
            continue
        assert all(0 < line[0] < line[1] < line[2] for line in lines), name
        if name.startswith("cell_"):
            assert all(a < b for a, b in zip(lines[0], lines[2], strict=True)), "slew costs time"
