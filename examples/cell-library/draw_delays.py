"""Draw the delay of each cell over voltage: `python3 draw_delays.py SUMMARY.CSV PICTURE.SVG`.

Needs matplotlib.
"""

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

PROCESSES = {"ss": "slow", "tt": "typical", "ff": "fast"}
TICKS_PS = (50, 75, 100, 150, 200, 300, 400)

Delays = dict[float, dict[int, float]]
"""The slower of both edges, in ps, by voltage and temperature."""


def read(path: Path) -> dict[str, dict[str, Delays]]:
    """The delays by cell and process."""
    delays: dict[str, dict[str, Delays]] = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            delay_ps = max(float(row["rise_ps"]), float(row["fall_ps"]))
            of_process = delays.setdefault(row["cell"], {}).setdefault(row["process"], {})
            of_voltage = of_process.setdefault(float(row["voltage_v"]), {})
            of_voltage[int(row["temperature_c"])] = delay_ps
    return delays


def draw(axes: Axes, cell: str, delays: dict[str, Delays]) -> None:
    """One cell: a line for each process, in a band from the fastest to the slowest temperature."""
    axes.set_title(cell)
    axes.set_xlabel("supply voltage / V")
    axes.set_yscale("log")
    axes.set_yticks(TICKS_PS, [str(tick) for tick in TICKS_PS])
    axes.set_yticks([], minor=True)
    for process, word in PROCESSES.items():
        voltages = sorted(delays[process])
        spread = [delays[process][voltage].values() for voltage in voltages]
        middle = [delays[process][voltage][25] for voltage in voltages]
        (line,) = axes.plot(voltages, middle, marker="o", markersize=4)
        low, high = [min(values) for values in spread], [max(values) for values in spread]
        axes.fill_between(voltages, low, high, color=line.get_color(), alpha=0.22, linewidth=0)
        axes.annotate(
            word,
            (voltages[0], middle[0]),
            (-9, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color=line.get_color(),
            fontweight="bold",
        )


def main(summary: Path, picture: Path) -> None:
    """Draw one panel a cell."""
    plt.style.use(Path(__file__).resolve().parent.parent / "pictures.mplstyle")
    delays = read(summary)
    figure, panels = plt.subplots(
        1, len(delays), figsize=(10, 3.9), sharex=True, sharey=True, squeeze=False
    )
    for axes, (cell, of_cell) in zip(panels[0], delays.items(), strict=True):
        draw(axes, cell, of_cell)
    panels[0][0].set_ylabel("delay, slower edge / ps")
    lowest, highest = panels[0][0].get_xlim()
    panels[0][0].set_xlim(lowest - 0.36 * (highest - lowest), highest)  # room for the words
    panels[0][0].set_xticks(sorted(next(iter(delays["INV_X1"].values()))))
    figure.savefig(picture, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("draw_delays.py: usage: python3 picture.py SUMMARY.CSV PICTURE.SVG")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
