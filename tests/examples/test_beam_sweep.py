"""Bending beams with CalculiX: what comes out is what theory says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .guide import follow, need, table

YOUNG_MPA = {"steel": 210e3, "titanium": 114e3, "aluminium": 70e3}
POISSON = {"steel": 0.30, "titanium": 0.34, "aluminium": 0.33}
LOAD_N, WIDTH_MM = 50, 20


def test_the_readme_gives_beams_that_agree_with_theory(tmp_path: Path) -> None:
    """Each beam bends as Timoshenko says, within 1 %; the stress at its clamp is 6FL/bh2."""
    need("ccx", "calculix-ccx")
    folder, out = follow("beam-sweep", tmp_path)
    swept = {tuple(row.values()) for row in table(folder / "sweep.csv")}
    assert len(swept) == 27
    found = [json.loads(path.read_text()) for path in folder.glob("results/*/result.json")]
    solved = {(f"{b['length_mm']:g}", f"{b['height_mm']:g}", b["material"]) for b in found}
    assert solved == swept
    for beam in found:
        length, height, young = beam["length_mm"], beam["height_mm"], YOUNG_MPA[beam["material"]]
        shear = young / 2 / (1 + POISSON[beam["material"]])
        bent = 4 * LOAD_N * length**3 / (young * WIDTH_MM * height**3)
        sheared = 6 * LOAD_N * length / (5 * shear * WIDTH_MM * height)
        assert beam["deflection_mm"] == pytest.approx(bent + sheared, rel=0.01)
        stress = 6 * LOAD_N * length / (WIDTH_MM * height**2)
        assert beam["stress_mpa"] == pytest.approx(stress, rel=0.03)
    assert "27 beams" in out
