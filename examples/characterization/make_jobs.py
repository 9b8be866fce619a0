"""Write one job folder per corner: corner.json, simulate.py and, last, run.sh.

`python3 make_jobs.py DEST [--corners N]`. DEST may be a folder that `shoal up` watches: run.sh
appears whole and last, so a job never starts before its inputs are there.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

PROCESSES = ("ss", "sf", "tt", "fs", "ff")
VOLTAGES_V = (0.90, 1.00, 1.10)
TEMPERATURES_C = (-40, 125)
ALL_CORNERS = len(PROCESSES) * len(VOLTAGES_V) * len(TEMPERATURES_C)

HERE = Path(__file__).resolve().parent


class Corner(NamedTuple):
    """One point of the sweep; its fields are the keys of corner.json."""

    process: str
    voltage_v: float
    temperature_c: int
    fail_once: bool = False

    @property
    def name(self) -> str:
        """The job folder's name, such as `ss_0.90V_-40C`."""
        return f"{self.process}_{self.voltage_v:.2f}V_{self.temperature_c}C"


def corners() -> list[Corner]:
    """All 30 corners. Exactly one fails its first attempt, to show a retry."""
    first, *rest = (
        Corner(process, voltage_v, temperature_c)
        for process in PROCESSES
        for voltage_v in VOLTAGES_V
        for temperature_c in TEMPERATURES_C
    )
    # The first: part of every sweep, however short, and its retry is over before the sweep is.
    return [first._replace(fail_once=True), *rest]


def choose_corners(count: int) -> list[Corner]:
    """`count` corners spread evenly over all of them. Raises ValueError unless 1 to 30."""
    if not 1 <= count <= ALL_CORNERS:
        raise ValueError(f"{count} corners: choose from 1 to {ALL_CORNERS}")
    every = corners()
    return [every[i * ALL_CORNERS // count] for i in range(count)]


def write_job(dest: Path, corner: Corner) -> Path:
    """Write the corner's job folder into `dest` and return it; run.sh appears last, in one step."""
    folder = dest / corner.name
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(corner._asdict(), indent=2) + "\n"
    (folder / "corner.json").write_text(text, encoding="utf-8")
    shutil.copyfile(HERE / "simulate.py", folder / "simulate.py")
    unfinished = folder / "run.part"  # without the trigger suffix: half an upload starts nothing
    shutil.copyfile(HERE / "run.sh", unfinished)
    unfinished.chmod(0o755)
    unfinished.replace(folder / "run.sh")  # a rename: atomic
    return folder


def make_jobs(dest: Path, corners: int = ALL_CORNERS) -> list[Path]:
    """Write that many job folders into `dest`, one after the other, and return them."""
    return [write_job(dest, corner) for corner in choose_corners(corners)]


def main() -> int:
    """Write the job folders named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Write one job folder per corner.")
    parser.add_argument("dest", type=Path, metavar="DEST", help="folder to write them into")
    parser.add_argument(
        "--corners", type=int, default=ALL_CORNERS, metavar="N", help="how many (default: all 30)"
    )
    options = parser.parse_args()
    try:
        folders = make_jobs(options.dest, options.corners)
    except (ValueError, OSError) as error:
        print(f"make_jobs.py: {error}", file=sys.stderr)
        return 2
    print(f"job folders written to {options.dest}: {len(folders)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
