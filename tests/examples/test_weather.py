"""The weather of twelve stations: every reading is accounted for."""

from __future__ import annotations

import shutil
from pathlib import Path

import shoal
from shoal.core.job import Finished, Status

from .guide import follow, table, type_in


def test_the_readme_gives_sums_that_match(tmp_path: Path) -> None:
    """What the jobs found is what was written, to the last reading; summits are colder."""
    folder, out = follow("weather", tmp_path)
    assert "everything adds up" in out
    written = table(folder / "stations.csv")
    climate = table(folder / "climate.csv")
    assert len(climate) == 12 * 12 * 24
    for station in written:
        rows = [row for row in climate if row["station"] == station["station"]]
        assert sum(int(row["readings"]) for row in rows) == int(station["good"])
        lowest, highest = (
            (float(row["lowest_c"]) for row in rows),
            (float(row["highest_c"]) for row in rows),
        )
        assert -60 < min(lowest) < max(highest) < 60, "no nonsense has got in"

    def mean_c(station: str, month: str, hour: str) -> float:
        key = {"station": station, "month": month, "hour": hour}
        (row,) = [row for row in climate if key.items() <= row.items()]
        return float(row["mean_c"])

    assert mean_c("summit", "7", "12") < mean_c("valley", "7", "12") - 10
    assert mean_c("city", "1", "12") < mean_c("city", "7", "12") - 10
    assert mean_c("city", "7", "4") < mean_c("city", "7", "15") - 4

    check_a_file_that_breaks_off(folder)
    drawn = (folder / "climate.svg").read_bytes()
    type_in(folder, "python3 draw_climate.py climate.csv again.svg")
    assert (folder / "again.svg").read_bytes() == drawn, "the same in every run"


def check_a_file_that_breaks_off(folder: Path) -> None:
    """A station whose file is not whole is a failed job, with nothing to fetch and a reason."""
    broken = folder / "broken"
    shutil.copytree(folder / "stations/city", broken)
    for name in ("hours.csv", "counts.csv"):
        (broken / name).unlink()
    readings = broken / "readings.csv"
    readings.write_text(readings.read_text()[:100_000])
    type_in(
        folder,
        "shoal submit -e jobs broken --require hours.csv --success-string 'ACCOUNTED FOR' &&"
        "shoal up jobs --until-idle",
    )
    with shoal.connect(folder / "jobs", create=False) as jobs:
        job = jobs.job("broken/run.sh")
    assert job.status is Status.FAILED
    assert isinstance(job.state, Finished)
    assert job.state.reason.startswith("exit code 1")
