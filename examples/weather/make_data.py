"""Write the readings of invented weather stations: `python3 make_data.py DEST` makes a folder each.

A station folder has `readings.csv`, a year of hourly temperatures with the faults that real ones
have (gaps, a sensor that stands still, nonsense), `aggregate.py` and, last, `run.sh`. DEST.csv says
what went in. The same in every run: the weather is drawn from a fixed seed.
"""

import csv
import datetime
import math
import random
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
YEAR = 2025


class Station(NamedTuple):
    """Where a station stands; the sea makes its seasons mild and late."""

    name: str
    altitude_m: int
    latitude: float
    by_the_sea: bool


STATIONS = (
    Station("harbour", 4, 53.5, True),
    Station("island", 9, 54.2, True),
    Station("marsh", 2, 53.1, True),
    Station("city", 62, 52.4, False),
    Station("airfield", 74, 52.1, False),
    Station("orchard", 118, 51.2, False),
    Station("vineyard", 210, 49.8, False),
    Station("valley", 380, 48.6, False),
    Station("forest", 540, 48.1, False),
    Station("plateau", 820, 47.9, False),
    Station("pass", 1690, 47.2, False),
    Station("summit", 2960, 47.4, False),
)


def temperatures(station: Station, chance: random.Random) -> list[float]:
    """A year of hourly temperatures in C: climate, days and nights, and weather that lasts."""
    mean = 29.5 - 0.40 * station.latitude - 0.0062 * station.altitude_m
    season = 6.5 if station.by_the_sea else 10.0 - station.altitude_m / 1000
    delay_days = 35 if station.by_the_sea else 22
    swing = 2.2 if station.by_the_sea else 5.0 - station.altitude_m / 900
    weather = 0.0
    found = []
    for hour in range(365 * 24):
        weather += -weather / 72 + chance.gauss(0, 0.55)  # fronts come and go in days
        year = math.cos(2 * math.pi * (hour / 24 - 172 - delay_days) / 365)
        day = math.cos(2 * math.pi * (hour - 15) / 24) * (0.65 + 0.35 * year)
        found.append(mean + season * year + swing * day + weather + chance.gauss(0, 0.2))
    return found


def write_readings(station: Station, path: Path) -> dict[str, int]:
    """Write a station's file; return how many lines are good, and how many of each fault."""
    chance = random.Random(station.name)
    first = datetime.datetime(YEAR, 1, 1, tzinfo=datetime.UTC)
    stuck_from = chance.randrange(365 * 24 - 200)
    stuck = range(stuck_from, stuck_from + chance.randrange(24, 120))
    counts = {"good": 0, "missing": 0, "nonsense": 0, "stuck": 0}
    held = ""
    with open(path, "w", encoding="utf-8", newline="") as file:
        print("time,temperature_c", file=file)
        for hour, value in enumerate(temperatures(station, chance)):
            text = f"{value:.2f}"
            kind = "good"
            if hour in stuck:
                held = held or text
                text, kind = held, "good" if hour == stuck_from else "stuck"
            elif (lot := chance.random()) < 0.004:
                text, kind = "", "missing"
            elif lot < 0.006:
                text, kind = chance.choice(["-999.00", "85.00", "ERR", "nan"]), "nonsense"
            counts[kind] += 1
            time = first + datetime.timedelta(hours=hour)
            print(f"{time:%Y-%m-%dT%H:%MZ},{text}", file=file)
    return counts


def main(dest: Path) -> None:
    """Write all station folders and what went into them."""
    rows = []
    for station in STATIONS:
        folder = dest / station.name
        folder.mkdir(parents=True, exist_ok=True)
        counts = write_readings(station, folder / "readings.csv")
        rows.append({"station": station.name, "altitude_m": station.altitude_m, **counts})
        shutil.copyfile(HERE / "aggregate.py", folder / "aggregate.py")
        unfinished = folder / "run.part"
        shutil.copy(HERE / "run.sh", unfinished)
        unfinished.replace(folder / "run.sh")
    with open(f"{dest}.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    print(f"{len(rows)} stations, {len(rows) * 365 * 24} readings, written to {dest}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("make_data.py: usage: python3 make_data.py DEST")
    main(Path(sys.argv[1]))
