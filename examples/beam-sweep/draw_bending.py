"""Draw one bent beam, and all of them beside theory: `python3 draw_bending.py RESULTS PICTURE.SVG`.

Needs matplotlib.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SHOWN = {"material": "steel", "length_mm": 400.0, "height_mm": 20.0}
EXAGGERATED = 100
MATERIALS = {"steel": "#D55E00", "titanium": "#2F8FCC", "aluminium": "#009E73"}
MARKERS = {10.0: "o", 20.0: "s", 40.0: "^"}

Result = dict[str, Any]


def draw_beam(figure: Figure, axes: Axes, folder: Path) -> None:
    """The side view of a bent beam, coloured by the stress along it."""
    with open(folder / "beam.csv", encoding="utf-8", newline="") as file:
        rows = [{name: float(text) for name, text in row.items()} for row in csv.DictReader(file)]
    up = len({row["z_mm"] for row in rows})

    def grid(values: list[float]) -> list[list[float]]:
        return [values[at : at + up] for at in range(0, len(values), 4 * up)]  # one in four is fine

    x = grid([row["x_mm"] for row in rows])
    z = grid([row["z_mm"] + EXAGGERATED * row["moved_mm"] for row in rows])
    stress = grid([row["stress_mpa"] for row in rows])
    limit = 16
    levels = range(-limit, limit + 1, 4)
    shades = axes.contourf(x, z, stress, levels=levels, cmap="RdBu_r", extend="both")
    shades.set_edgecolor("face")  # else the paper shines through between two shades
    bar = figure.colorbar(shades, ax=axes, pad=0.02, ticks=[-limit, 0, limit])
    bar.set_label("stress / MPa")
    bar.outline.set_visible(False)
    for edge in (0, up - 1):
        axes.plot([row[edge] for row in x], [row[edge] for row in z], color="#7b8087", linewidth=1)
    axes.plot([0, 0], [-28, 28], color="#7b8087", linewidth=5)
    bent_mm = -min(row["moved_mm"] for row in rows)
    axes.annotate(
        f"50 N bends it by {bent_mm:.2f} mm",
        (x[-1][-1], z[-1][-1]),
        (-12, 58),
        textcoords="offset points",
        ha="right",
        arrowprops={"arrowstyle": "->", "shrinkB": 6, "color": "#7b8087"},
    )
    axes.set_title(f"Steel, 400 x 20 x 20 mm (bending drawn {EXAGGERATED} times as large)")
    axes.set_aspect("equal")
    axes.set_xlabel("along the beam / mm")
    axes.set_yticks([])
    axes.spines[["left"]].set_visible(False)
    axes.grid(False)


def draw_points(axes: Axes, results: list[Result], name: str, apart: bool) -> None:
    """What CalculiX found as points, theory as lines, over the length.

    Args:
        axes: where.
        results: all beams, by length.
        name: the key of what is drawn.
        apart: whether materials differ in it; else they are drawn as one.
    """
    axes.set_xscale("log")
    axes.set_yscale("log")
    for material, colour in MATERIALS.items() if apart else [("steel", "#7b8087")]:
        for height_mm, marker in MARKERS.items():
            chosen = [
                one
                for one in results
                if (one["material"], one["height_mm"]) == (material, height_mm)
            ]
            lengths = [one["length_mm"] for one in chosen]
            theory = [one[f"theory_{name}"] for one in chosen]
            axes.plot(lengths, theory, color=colour, lw=1)
            axes.plot(lengths, [one[name] for one in chosen], marker, color=colour, ms=6)
            axes.annotate(
                f"{material}, {height_mm:g} mm" if apart else f"{height_mm:g} mm high",
                (lengths[-1], theory[-1]),
                (8, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=colour,
            )
    axes.set_xticks([200, 400, 800], ["200", "400", "800"])
    axes.set_xticks([], minor=True)
    axes.set_xlim(185, 1300)
    axes.set_xlabel("length / mm")
    axes.yaxis.set_major_formatter("{x:g}")


def main(folder: Path, picture: Path) -> None:
    """Draw all three panels."""
    plt.style.use(Path(__file__).resolve().parent.parent / "pictures.mplstyle")
    paths = sorted(folder.rglob("result.json"))
    found = {path.parent: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    results = sorted(found.values(), key=lambda one: float(one["length_mm"]))
    (shown,) = [path for path, one in found.items() if SHOWN.items() <= one.items()]
    figure = plt.figure(figsize=(10, 6.6))
    grid = figure.add_gridspec(2, 2, height_ratios=[1, 2.1])
    draw_beam(figure, figure.add_subplot(grid[0, :]), shown)
    for place, name, title in (
        (grid[1, 0], "deflection_mm", "Deflection / mm"),
        (grid[1, 1], "stress_mpa", "Stress at the clamp / MPa"),
    ):
        axes = figure.add_subplot(place)
        axes.set_title(f"{title}: CalculiX (points), theory (lines)", fontsize=10)
        draw_points(axes, results, name, apart=name == "deflection_mm")
    figure.savefig(picture, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("draw_bending.py: usage: python3 picture.py RESULTS PICTURE.SVG")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
