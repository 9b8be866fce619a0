"""The example that the demo runs: finds and loads `examples/characterization`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import shoal
from shoal.core.errors import ShoalError

WHERE = Path("examples") / "characterization"


class ExampleMissing(ShoalError):
    """The example's files did not come with this installation."""

    code = "example_missing"


class Corner(NamedTuple):
    """One point of the sweep, and thus one job folder.

    Args:
        name: of the job folder.
        process: of the transistors: slow, typical or fast, n-channel first.
        voltage_v: of the supply.
        temperature_c: of the chip.
        fail_once: whether its first attempt fails.
    """

    name: str
    process: str
    voltage_v: float
    temperature_c: float
    fail_once: bool


class Example:
    """The scripts of the example, as functions.

    Args:
        count: how many corners the sweep has.
    """

    def __init__(self, count: int) -> None:
        self.folder = find_example()
        self._make_jobs = _load(self.folder / "make_jobs.py")
        self._collect = _load(self.folder / "collect.py")
        self._scripts_corners: list[Any] = self._make_jobs.choose_corners(count)
        self.corners = [
            Corner(of.name, of.process, of.voltage_v, of.temperature_c, of.fail_once)
            for of in self._scripts_corners
        ]

    def drop(self, number: int, folder: Path) -> None:
        """Write the job folder of one corner, its executable last."""
        self._make_jobs.write_job(folder, self._scripts_corners[number])

    def delays_ps(self, folder: Path) -> dict[str, float]:
        """The delay of each corner that has a result, by the name of the corner."""
        rows = self._collect.collect(folder)
        return {row.corner: row.measures.delay_ps for row in rows if row.measures is not None}


def find_example() -> Path:
    """Where the example lies: inside an installed package, beside `src` in a checkout.

    Raises:
        ExampleMissing: it is in neither place.
    """
    package = Path(shoal.__file__).resolve().parent
    for base in (package, package.parents[1]):
        if (base / WHERE / "make_jobs.py").is_file():
            return base / WHERE
    raise ExampleMissing(
        f"the demo needs {WHERE}, which is not beside {package}",
        "install Shoal from its wheel or from a checkout",
    )


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"shoal_example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
