"""Write one job folder per cell and corner: netlists, the deck to simulate and, last, run.sh.

`python3 make_jobs.py DEST` writes 27 folders, with --full 270. DEST may be a folder that `shoal up`
watches: run.sh appears whole and last, so a job never starts before its inputs are there.
"""

import argparse
import itertools
import json
import shutil
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
SLEWS_PS = (20, 80, 240)  # of the input, from 20% to 80%
LOADS_FF = (1, 6, 24)
FIRST_WINDOW_PS = 1000  # for an edge to come through; an attempt more, as much more


class Cell(NamedTuple):
    """A cell: its name in cells.sp, its inputs, what it computes, and the input that lets it."""

    name: str
    inputs: str
    function: str
    others_high: bool
    """Whether the inputs that do not switch must be high for the output to follow."""


class Corner(NamedTuple):
    """Where to characterise; the fields are keys of corner.json."""

    process: str
    voltage_v: float
    temperature_c: int


CELLS = (
    Cell("INV_X1", "A", "!A", False),
    Cell("NAND2_X1", "AB", "!(A & B)", True),
    Cell("NOR2_X1", "AB", "!(A | B)", False),
)
QUICK = (("ss", "tt", "ff"), (0.8, 1.0, 1.2), (25,))
FULL = (("ss", "sf", "tt", "fs", "ff"), (0.7, 0.8, 0.9, 1.0, 1.1, 1.2), (-40, 25, 125))

DECK = """\
{cell.name} at {corner.process}, {corner.voltage_v} V, {corner.temperature_c} C
.include process.sp
.include transistors.sp
.include cells.sp
.include attempt.sp
.param supply={corner.voltage_v} slew=20p load=1f
.param edge={{slew/0.6}} high={{{window_ps}p*attempt}}
.temp {corner.temperature_c}
vtie tie 0 {tie_v}
{instances}
.tran 2p {{20p+2*edge+2*high}}
.control
set missing = 0
echo pin slew_s load_f {columns} > measures.txt
foreach slew {slews}
foreach load {loads}
alterparam slew = $slew
alterparam load = $load
reset
run
let stop = time[length(time)-1]
{measures}
end
end
if $missing = 0
echo CHARACTERISED {cell.name}
end
quit
.endc
.end
"""

# Each input that switches has a cell of its own, with its own supply and load: one run gives all.
INSTANCE = """\
vin{pin} in{pin} 0 pulse(0 {{supply}} 20p {{edge}} {{edge}} {{high}} 1)
vdd{pin} vdd{pin} 0 {{supply}}
x{pin} {nodes} y{pin} vdd{pin} {name}
c{pin} y{pin} 0 {{load}}"""

COLUMNS = {
    "cell_rise_s": "trig v(in{pin}) val={v50} fall=1 targ v(y{pin}) val={v50} rise=1",
    "cell_fall_s": "trig v(in{pin}) val={v50} rise=1 targ v(y{pin}) val={v50} fall=1",
    "rise_transition_s": "trig v(y{pin}) val={v20} rise=1 targ v(y{pin}) val={v80} rise=1",
    "fall_transition_s": "trig v(y{pin}) val={v80} fall=1 targ v(y{pin}) val={v20} fall=1",
    "risen_s": "when v(y{pin})={v98} rise=1",
    "fallen_s": "when v(y{pin})={v2} fall=1",
    "rise_charge_c": "integ i(vdd{pin}) from=$&turn to=$&stop",
    "fall_charge_c": "integ i(vdd{pin}) from=20p to=$&turn",
    "input_charge_c": "integ i(vin{pin}) from=20p to=$&turn",
}
"""What is measured at each point. Sources deliver: their currents are negative."""


def make_deck(cell: Cell, corner: Corner) -> str:
    """The deck that characterises all arcs of a cell at one corner, over slew and load."""
    supply_v = corner.voltage_v
    instances = []
    measures = []
    for pin in cell.inputs:
        nodes = " ".join(f"in{pin}" if other == pin else "tie" for other in cell.inputs)
        instances.append(INSTANCE.format(pin=pin, nodes=nodes, name=cell.name))
        levels = {f"v{share}": round(supply_v * share / 100, 6) for share in (2, 20, 50, 80, 98)}
        measures.append(f"meas tran turn when v(in{pin})={supply_v * 0.999:.6f} fall=1")
        for column, what in COLUMNS.items():
            # A measurement that fails leaves the value at 0.
            measures.append(f"let {column} = 0")
            measures.append(f"meas tran {column} {what.format(pin=pin, **levels)}")
            measures.append(f"if {column} = 0\nset missing = 1\nend")
        values = " ".join(f"$&{column}" for column in COLUMNS)
        measures.append(f"echo {pin} $slew $load {values} >> measures.txt")
    return DECK.format(
        cell=cell,
        corner=corner,
        window_ps=FIRST_WINDOW_PS,
        tie_v=supply_v if cell.others_high else 0,
        instances="\n".join(instances),
        columns=" ".join(COLUMNS),
        slews=" ".join(f"{slew}e-12" for slew in SLEWS_PS),
        loads=" ".join(f"{load}e-15" for load in LOADS_FF),
        measures="\n".join(measures),
    )


def make_job(dest: Path, cell: Cell, corner: Corner) -> None:
    """Write one job folder; run.sh appears last, in one step."""
    name = f"{cell.name}_{corner.process}_{corner.voltage_v:.2f}V_{corner.temperature_c}C"
    folder = dest / name
    folder.mkdir(parents=True, exist_ok=True)
    about = {"cell": cell.name, "inputs": cell.inputs, "function": cell.function}
    text = json.dumps(about | corner._asdict(), indent=2) + "\n"
    (folder / "corner.json").write_text(text, encoding="utf-8")
    (folder / "deck.sp").write_text(make_deck(cell, corner), encoding="utf-8")
    shutil.copyfile(HERE / "process" / f"{corner.process}.sp", folder / "process.sp")
    for file in ("transistors.sp", "cells.sp"):
        shutil.copyfile(HERE / file, folder / file)
    unfinished = folder / "run.part"
    shutil.copy(HERE / "run.sh", unfinished)
    unfinished.replace(folder / "run.sh")


def main() -> None:
    """Write the job folders that the command line asks for."""
    parser = argparse.ArgumentParser(description="Write one job folder per cell and corner.")
    parser.add_argument("dest", type=Path, metavar="DEST", help="folder to write them into")
    parser.add_argument("--full", action="store_true", help="all corners, not only the main ones")
    options = parser.parse_args()
    corners = [Corner(*values) for values in itertools.product(*(FULL if options.full else QUICK))]
    for cell, corner in itertools.product(CELLS, corners):
        make_job(options.dest, cell, corner)
    print(f"job folders written to {options.dest}: {len(CELLS) * len(corners)}")


if __name__ == "__main__":
    main()
