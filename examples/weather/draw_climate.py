"""Draw a day in each month for every station: `python3 draw_climate.py CLIMATE.CSV PICTURE.SVG`.

Needs matplotlib.
"""

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

LIMIT_C = 26
COLUMNS = 4


def draw(axes: Axes, name: str, rows: list[dict[str, str]]) -> None:
    """One station: hours along, months down, the colour is the mean temperature."""
    mean_c = {(int(row["month"]), int(row["hour"])): float(row["mean_c"]) for row in rows}
    table = [[mean_c[month, hour] for hour in range(24)] for month in range(1, 13)]
    axes.imshow(
        table, cmap="RdYlBu_r", vmin=-LIMIT_C, vmax=LIMIT_C, aspect="auto", interpolation="none"
    )
    readings = [int(row["readings"]) for row in rows]
    all_c = sum(float(row["mean_c"]) * n for row, n in zip(rows, readings, strict=True))
    axes.set_title(name, fontsize=10)
    axes.set_title(
        f"{rows[0]['altitude_m']} m, {all_c / sum(readings):.1f} °C",
        loc="right",
        fontsize=8,
        fontweight="normal",
    )
    axes.set_xticks([0, 6, 12, 18], ["0", "6", "12", "18 h"])
    axes.set_yticks([0, 3, 6, 9], ["Jan", "Apr", "Jul", "Oct"])
    axes.tick_params(labelsize=8, length=2)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def main(climate: Path, picture: Path) -> None:
    """Draw a panel a station."""
    plt.style.use(Path(__file__).resolve().parent.parent / "pictures.mplstyle")
    stations: dict[str, list[dict[str, str]]] = {}
    with open(climate, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            stations.setdefault(row["station"], []).append(row)
    figure, panels = plt.subplots(
        -(-len(stations) // COLUMNS), COLUMNS, figsize=(10, 6), sharex=True, sharey=True
    )
    for axes, (name, rows) in zip(panels.flat, stations.items(), strict=True):
        draw(axes, name, rows)
    bar = figure.colorbar(panels.flat[0].images[0], ax=panels, pad=0.02, aspect=40)
    bar.set_label("mean temperature / °C")
    figure.savefig(picture, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("draw_climate.py: usage: python3 draw_climate.py CLIMATE.CSV PICTURE.SVG")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
