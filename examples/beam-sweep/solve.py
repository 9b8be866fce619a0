"""One cantilever beam: mesh it, let CalculiX solve it, and compare with beam theory.

`python3 solve.py LENGTH_MM HEIGHT_MM MATERIAL` leaves in the current folder what CalculiX wrote,
`beam.csv` (where its middle plane went, and the stress there) and `result.json`. When the variable
RESULTS names a folder, the latter two are copied to a folder of their own in it. Units: mm, N, MPa.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

WIDTH_MM = 20.0
LOAD_N = 50.0
MATERIALS = {
    "steel": (210_000.0, 0.30),
    "titanium": (114_000.0, 0.34),
    "aluminium": (70_000.0, 0.33),
}
"""Young's modulus in MPa and Poisson's ratio."""

ACROSS, UP = 2, 4  # elements over width and height
SHEAR_FACTOR = 5 / 6  # of a rectangular section


class Beam(NamedTuple):
    """What is solved: clamped at x = 0, loaded downwards at the other end."""

    length_mm: float
    height_mm: float
    material: str

    @property
    def along(self) -> int:
        """Elements over the length: none longer than high, and at least 40."""
        return max(40, round(self.length_mm / self.height_mm * UP))

    def node(self, i: int, j: int, k: int) -> int:
        """The number of the node at this place of the grid."""
        return 1 + (i * (ACROSS + 1) + j) * (UP + 1) + k


def write_mesh(beam: Beam, path: Path) -> None:
    """Write CalculiX's input: a grid of hexahedra with incompatible modes, good at bending.

    Of the clamped face only x is held, and its middle: so the section may contract, as in theory.
    """
    young_mpa, poisson = MATERIALS[beam.material]
    grid = [(j, k) for j in range(ACROSS + 1) for k in range(UP + 1)]
    lines = ["*NODE, NSET=ALL"]
    for i in range(beam.along + 1):
        for j, k in grid:
            x, y = beam.length_mm * i / beam.along, WIDTH_MM * (j / ACROSS - 0.5)
            z = beam.height_mm * (k / UP - 0.5)
            lines.append(f"{beam.node(i, j, k)}, {x:.6f}, {y:.6f}, {z:.6f}")
    lines.append("*ELEMENT, TYPE=C3D8I, ELSET=BEAM")
    corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
    number = 0
    for i in range(beam.along):
        for j in range(ACROSS):
            for k in range(UP):
                number += 1
                nodes = [beam.node(i + a, j + b, k + c) for c in (0, 1) for a, b in corners]
                lines.append(", ".join(map(str, [number, *nodes])))
    lines.append("*BOUNDARY")
    lines += [f"{beam.node(0, j, k)}, 1" for j, k in grid]
    lines += [f"{beam.node(0, ACROSS // 2, k)}, 2" for k in range(UP + 1)]
    lines.append(f"{beam.node(0, ACROSS // 2, UP // 2)}, 3")
    lines += ["*MATERIAL, NAME=METAL", "*ELASTIC", f"{young_mpa}, {poisson}"]
    lines += ["*SOLID SECTION, ELSET=BEAM, MATERIAL=METAL", "*STEP", "*STATIC", "*CLOAD"]
    for j, k in grid:
        share = (0.5 if j in (0, ACROSS) else 1) * (0.5 if k in (0, UP) else 1) / (ACROSS * UP)
        lines.append(f"{beam.node(beam.along, j, k)}, 3, {-LOAD_N * share:.6f}")
    lines += ["*NODE FILE", "U", "*EL FILE", "S", "*END STEP"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_blocks(path: Path) -> Iterator[tuple[str, int, list[float]]]:
    """Each line of values in a result file: of which quantity, which node, the values."""
    quantity = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(" -4"):
            quantity = line.split()[1]
        elif line.startswith(" -1") and quantity:
            values = line[13:]
            numbers = [float(values[at : at + 12]) for at in range(0, len(values.rstrip()), 12)]
            yield quantity, int(line[3:13]), numbers


def theory(beam: Beam) -> tuple[float, float]:
    """Deflection of the tip in mm and stress at the clamp in MPa, after Timoshenko."""
    young_mpa, poisson = MATERIALS[beam.material]
    inertia_mm4 = WIDTH_MM * beam.height_mm**3 / 12
    shear_mpa = young_mpa / 2 / (1 + poisson)
    bending_mm = LOAD_N * beam.length_mm**3 / (3 * young_mpa * inertia_mm4)
    sheared_mm = LOAD_N * beam.length_mm / (SHEAR_FACTOR * shear_mpa * WIDTH_MM * beam.height_mm)
    return bending_mm + sheared_mm, LOAD_N * beam.length_mm * beam.height_mm / 2 / inertia_mm4


def main(beam: Beam) -> None:
    """Mesh, solve, and write the results."""
    write_mesh(beam, Path("beam.inp"))
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # a job a core
    subprocess.run(["ccx", "-i", "beam"], check=True, env=one_thread)
    moved: dict[int, float] = {}
    stress: dict[int, float] = {}
    for quantity, node, values in read_blocks(Path("beam.frd")):
        if quantity == "DISP":
            moved[node] = values[2]
        elif quantity == "STRESS":
            stress[node] = values[0]
    with open("beam.csv", "w", encoding="utf-8") as file:
        print("x_mm,z_mm,moved_mm,stress_mpa", file=file)
        for i in range(beam.along + 1):
            for k in range(UP + 1):
                node = beam.node(i, ACROSS // 2, k)
                x, z = beam.length_mm * i / beam.along, beam.height_mm * (k / UP - 0.5)
                print(f"{x:.3f},{z:.3f},{moved[node]:.6f},{stress[node]:.4f}", file=file)
    deflection_mm, stress_mpa = theory(beam)
    result = {
        **beam._asdict(),
        "deflection_mm": -min(moved.values()),
        "stress_mpa": max(stress.values()),
        "theory_deflection_mm": round(deflection_mm, 6),
        "theory_stress_mpa": round(stress_mpa, 4),
    }
    Path("result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if kept := os.environ.get("RESULTS"):
        folder = Path(kept, f"{beam.material}-{beam.length_mm:g}x{beam.height_mm:g}")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("beam.csv", "result.json"):
            shutil.copyfile(name, folder / name)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[3] not in MATERIALS:
        sys.exit("solve.py: usage: python3 solve.py LENGTH_MM HEIGHT_MM " + "|".join(MATERIALS))
    main(Beam(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]))
