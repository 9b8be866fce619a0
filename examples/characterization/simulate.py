"""Characterise a CMOS inverter at one corner: a transient simulation in plain Python.

Five equal inverters in a row are driven with one pulse. The first two shape the edges, the third
is measured, the last two are its load. `python3 simulate.py corner.json` writes `result.json` and
`waveform.csv` to the current folder. Inside: SI units; in the files: the unit each name ends with.
"""

import csv
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

STAGES = 5
MEASURED = 2  # the third: far enough from the ideal source, and loaded like the rest

WINDOW_S = 700e-12  # one full period: the pulse is high in the first half
EDGE_START_S = 20e-12
EDGE_LENGTH_S = 20e-12
STEP_S = 0.05e-12  # halving it moves every result by less than 0.001 (ps, fJ)
WAVEFORM_POINTS = 400

NMOS_WIDTH_UM = 0.50
PMOS_WIDTH_UM = 0.90
# Fan-out of four gates, own drains with the Miller effect folded in (2 x Cgd), and a short wire.
LOAD_F = 10e-15

REFERENCE_K = 298.15
THERMAL_V_PER_K = 8.617333e-5  # Boltzmann constant / electron charge
MOBILITY_EXPONENT = -1.2  # between a long channel's -1.5 and full velocity saturation
THRESHOLD_V_PER_K = -0.7e-3
DIBL = 0.08  # threshold lost per volt of drain bias
SUBTHRESHOLD_N = 1.4
THRESHOLD_SHIFT_V = {"s": +0.030, "t": 0.0, "f": -0.030}  # three sigma
DRIVE_FACTOR = {"s": 0.90, "t": 1.00, "f": 1.10}

PROCESSES = ("ss", "sf", "tt", "fs", "ff")  # first letter: NMOS, second: PMOS
VOLTAGE_RANGE_V = (0.80, 1.30)
TEMPERATURE_RANGE_C = (-55.0, 150.0)

EXIT_BAD_INPUT = 2
EXIT_NO_LICENCE = 75  # EX_TEMPFAIL in sysexits.h: try again later
SUCCESS = "CHARACTERIZATION COMPLETE"


class CornerError(Exception):
    """The corner file can't be used; the message says why and what would do."""


class MeasureError(Exception):
    """The waveform has no clean transition to measure."""


class Corner(NamedTuple):
    """Where to characterise."""

    process: str
    voltage_v: float
    temperature_c: float
    fail_once: bool


class Mosfet(NamedTuple):
    """One transistor at one corner; n- and p-channel alike, with voltages from its own source."""

    drive: float  # A / V^alpha, width included
    alpha: float
    threshold_v: float
    smoothing_v: float  # alpha * n * kT/q: makes the sub-threshold slope come out at n * kT/q
    thermal_v: float


class Inverter(NamedTuple):
    """One stage: the pull-up, the pull-down, and their supply."""

    pmos: Mosfet
    nmos: Mosfet
    supply_v: float


class Trace(NamedTuple):
    """The measured stage over time: one entry per step in each list."""

    time_s: list[float]
    input_v: list[float]
    output_v: list[float]
    supply_a: list[float]


class Measures(NamedTuple):
    """What is written to result.json. `rise` and `fall` are the edges of the output."""

    delay_rise_ps: float
    delay_fall_ps: float
    slew_rise_ps: float
    slew_fall_ps: float
    energy_fj: float
    leakage_nw: float


# --- the corner file ---------------------------------------------------------------------------


def read_corner(path: Path) -> Corner:
    """Read and check a corner file. Raises CornerError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CornerError(f"cannot read it: {error.strerror}") from error
    except ValueError as error:
        raise CornerError(f"not JSON: {error}") from error
    if not isinstance(data, dict):
        raise CornerError("not a JSON object")
    unknown = sorted(data.keys() - set(Corner._fields))
    if unknown:
        raise CornerError(f"unknown key {unknown[0]!r}; known: {', '.join(Corner._fields)}")
    process = data.get("process")
    if process not in PROCESSES:
        raise CornerError(f"process is {process!r}; choose from {', '.join(PROCESSES)}")
    fail_once = data.get("fail_once", False)
    if not isinstance(fail_once, bool):
        raise CornerError(f"fail_once is {fail_once!r}; it must be true or false")
    return Corner(
        process,
        _number_between(data, "voltage_v", VOLTAGE_RANGE_V),
        _number_between(data, "temperature_c", TEMPERATURE_RANGE_C),
        fail_once,
    )


def _number_between(data: dict[str, object], key: str, limits: tuple[float, float]) -> float:
    value = data.get(key)
    low, high = limits
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise CornerError(f"{key} is {value!r}; it must be a number from {low:g} to {high:g}")
    return float(value)


# --- the circuit -------------------------------------------------------------------------------


def make_inverter(corner: Corner) -> Inverter:
    """The stage at this corner. Drive and threshold are of a generic 45 nm class process."""
    nmos, pmos = corner.process[0], corner.process[1]
    kelvin = corner.temperature_c + 273.15
    return Inverter(
        pmos=_make_mosfet(0.85e-3 * PMOS_WIDTH_UM, 1.40, 0.36, pmos, kelvin),
        nmos=_make_mosfet(1.75e-3 * NMOS_WIDTH_UM, 1.30, 0.35, nmos, kelvin),
        supply_v=corner.voltage_v,
    )


def _make_mosfet(
    drive: float, alpha: float, threshold_v: float, speed: str, kelvin: float
) -> Mosfet:
    """A transistor with `drive` and `threshold_v` at 25 C, moved to process `speed` and `kelvin`.

    Heat takes from both mobility (slower) and threshold (faster, and far leakier).
    """
    thermal_v = THERMAL_V_PER_K * kelvin
    return Mosfet(
        drive=drive * DRIVE_FACTOR[speed] * math.pow(kelvin / REFERENCE_K, MOBILITY_EXPONENT),
        alpha=alpha,
        threshold_v=threshold_v
        + THRESHOLD_SHIFT_V[speed]
        + THRESHOLD_V_PER_K * (kelvin - REFERENCE_K),
        smoothing_v=alpha * SUBTHRESHOLD_N * thermal_v,
        thermal_v=thermal_v,
    )


def drain_current(mosfet: Mosfet, gate_v: float, drain_v: float) -> float:
    """Drain current in A, by the alpha-power law.

    T. Sakurai, A. R. Newton, IEEE J. Solid-State Circuits 25(2), 1990, pp. 584-594. The overdrive
    is a softplus rather than a cut-off, so that the same formula gives the leakage.
    """
    drive, alpha, threshold_v, smoothing_v, thermal_v = mosfet
    excess_v = gate_v - threshold_v + DIBL * drain_v
    overdrive_v = smoothing_v * math.log1p(math.exp(excess_v / smoothing_v))
    half_power = math.pow(overdrive_v, 0.5 * alpha)
    saturation_a = drive * half_power * half_power
    saturation_v = 0.6 * half_power + 3.0 * thermal_v
    if drain_v >= saturation_v:
        return saturation_a
    ratio = drain_v / saturation_v
    return saturation_a * ratio * (2.0 - ratio)


def supply_current(inverter: Inverter, input_v: float, output_v: float) -> float:
    """Current in A from the supply through the pull-up."""
    supply_v = inverter.supply_v
    return drain_current(inverter.pmos, supply_v - input_v, supply_v - output_v)


def resting_output(inverter: Inverter, input_v: float) -> float:
    """Output voltage in V where pull-up and pull-down agree, by bisection."""
    low, high = 0.0, inverter.supply_v
    for _ in range(60):
        middle = 0.5 * (low + high)
        up_a = supply_current(inverter, input_v, middle)
        if up_a > drain_current(inverter.nmos, input_v, middle):
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def leakage_power(inverter: Inverter) -> float:
    """Power in W of one stage at rest, the mean of both input levels."""
    supply_v = inverter.supply_v
    low_a = supply_current(inverter, 0.0, resting_output(inverter, 0.0))
    high_a = supply_current(inverter, supply_v, resting_output(inverter, supply_v))
    return 0.5 * supply_v * (low_a + high_a)


# --- the transient -----------------------------------------------------------------------------


def pulse(time_s: float, supply_v: float) -> float:
    """The source's voltage in V: up at EDGE_START_S, down half a window later, straight edges."""
    since_rise = (time_s - EDGE_START_S) / EDGE_LENGTH_S
    since_fall = (time_s - EDGE_START_S - 0.5 * WINDOW_S) / EDGE_LENGTH_S
    return supply_v * (min(1.0, max(0.0, since_rise)) - min(1.0, max(0.0, since_fall)))


def chain_slopes(inverter: Inverter, source_v: float, nodes_v: list[float]) -> list[float]:
    """dV/dt in V/s of every stage's output."""
    slopes = []
    gate_v = source_v
    for output_v in nodes_v:
        up_a = supply_current(inverter, gate_v, output_v)
        slopes.append((up_a - drain_current(inverter.nmos, gate_v, output_v)) / LOAD_F)
        gate_v = output_v
    return slopes


def rk4_step(inverter: Inverter, time_s: float, nodes_v: list[float]) -> list[float]:
    """The nodes one STEP_S later, by the classical fourth-order Runge-Kutta method."""

    def moved(slopes: list[float], by_s: float) -> list[float]:
        return [v + by_s * slope for v, slope in zip(nodes_v, slopes, strict=True)]

    half_s = 0.5 * STEP_S
    middle_v = pulse(time_s + half_s, inverter.supply_v)
    k1 = chain_slopes(inverter, pulse(time_s, inverter.supply_v), nodes_v)
    k2 = chain_slopes(inverter, middle_v, moved(k1, half_s))
    k3 = chain_slopes(inverter, middle_v, moved(k2, half_s))
    k4 = chain_slopes(inverter, pulse(time_s + STEP_S, inverter.supply_v), moved(k3, STEP_S))
    mean = [(a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4, strict=True)]
    return moved(mean, STEP_S)


def simulate(inverter: Inverter, report: Callable[[float], None]) -> Trace:
    """One period of the chain from rest; `report` is told the simulated seconds ten times."""
    nodes_v = []
    level_v = 0.0
    for _ in range(STAGES):
        level_v = resting_output(inverter, level_v)
        nodes_v.append(level_v)
    trace = Trace([], [], [], [])
    steps = round(WINDOW_S / STEP_S)
    for step in range(steps + 1):
        time_s = step * STEP_S
        input_v, output_v = nodes_v[MEASURED - 1], nodes_v[MEASURED]
        trace.time_s.append(time_s)
        trace.input_v.append(input_v)
        trace.output_v.append(output_v)
        trace.supply_a.append(supply_current(inverter, input_v, output_v))
        if step and step % (steps // 10) == 0:
            report(time_s)
        nodes_v = rk4_step(inverter, time_s, nodes_v)
    return trace


# --- the measures ------------------------------------------------------------------------------


def crossing(time_s: list[float], wave_v: list[float], level_v: float, rising: bool) -> float:
    """When in s the wave first crosses the level in that direction. Raises MeasureError."""
    for i in range(1, len(wave_v)):
        before, after = wave_v[i - 1], wave_v[i]
        if (before < level_v <= after) if rising else (before > level_v >= after):
            share = (level_v - before) / (after - before)
            return time_s[i - 1] + share * (time_s[i] - time_s[i - 1])
    raise MeasureError(f"no {'rising' if rising else 'falling'} edge through {level_v:.3f} V")


def measure(inverter: Inverter, trace: Trace) -> Measures:
    """All measures of one period. Raises MeasureError."""
    supply_v = inverter.supply_v
    if abs(trace.output_v[-1] - trace.output_v[0]) > 0.01 * supply_v:
        raise MeasureError("the output did not settle within the window")

    def delay_ps(rising: bool) -> float:
        cause_s = crossing(trace.time_s, trace.input_v, 0.5 * supply_v, not rising)
        return 1e12 * (crossing(trace.time_s, trace.output_v, 0.5 * supply_v, rising) - cause_s)

    def slew_ps(rising: bool) -> float:
        low_s = crossing(trace.time_s, trace.output_v, 0.2 * supply_v, rising)
        high_s = crossing(trace.time_s, trace.output_v, 0.8 * supply_v, rising)
        return 1e12 * abs(high_s - low_s)

    leakage_w = leakage_power(inverter)
    return Measures(
        delay_rise_ps=delay_ps(True),
        delay_fall_ps=delay_ps(False),
        slew_rise_ps=slew_ps(True),
        slew_fall_ps=slew_ps(False),
        energy_fj=1e15 * switching_energy(trace, supply_v, leakage_w),
        leakage_nw=1e9 * leakage_w,
    )


def switching_energy(trace: Trace, supply_v: float, leakage_w: float) -> float:
    """Energy in J per output transition: the period's supply energy less leakage, halved."""
    ends_a = 0.5 * (trace.supply_a[0] + trace.supply_a[-1])  # trapezoidal rule
    charge_c = (sum(trace.supply_a) - ends_a) * STEP_S
    return 0.5 * (supply_v * charge_c - leakage_w * WINDOW_S)


# --- the command -------------------------------------------------------------------------------


def write_results(corner: Corner, measures: Measures, trace: Trace) -> None:
    """Write result.json and waveform.csv to the current folder."""
    with Path("waveform.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time_ps", "input_v", "output_v", "supply_ua"])
        for i in range(0, len(trace.time_s), len(trace.time_s) // WAVEFORM_POINTS):
            writer.writerow(
                [
                    f"{1e12 * trace.time_s[i]:.2f}",
                    f"{trace.input_v[i]:.5f}",
                    f"{trace.output_v[i]:.5f}",
                    f"{1e6 * trace.supply_a[i]:.4f}",
                ]
            )
    result = corner._asdict() | {name: round(v, 4) for name, v in measures._asdict().items()}
    del result["fail_once"]
    Path("result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def print_progress(time_s: float) -> None:
    """One line, flushed, so that a log followed live moves."""
    print(f"  {1e12 * time_s:.0f} of {1e12 * WINDOW_S:.0f} ps", flush=True)


def complain(message: str) -> None:
    """Say on stderr what went wrong."""
    print(f"simulate.py: {message}", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Characterise the corner in the file named by the only argument; return the exit code."""
    if len(arguments) != 1:
        complain("usage: python3 simulate.py corner.json")
        return EXIT_BAD_INPUT
    try:
        corner = read_corner(Path(arguments[0]))
    except CornerError as error:
        complain(f"{arguments[0]}: {error}")
        return EXIT_BAD_INPUT
    # Stands in for the licence server every real simulator asks, so that a sweep shows a retry.
    if corner.fail_once and os.environ.get("SHOAL_ATTEMPT") == "1":
        complain("licence server: all 8 'transient' licences are taken; try again later")
        return EXIT_NO_LICENCE

    print(f"corner {corner.process}, {corner.voltage_v:.2f} V, {corner.temperature_c:g} C")
    inverter = make_inverter(corner)
    trace = simulate(inverter, print_progress)
    try:
        measures = measure(inverter, trace)
    except MeasureError as error:
        complain(f"{error}: raise WINDOW_S, now {1e12 * WINDOW_S:.0f} ps")
        return 1
    write_results(corner, measures, trace)
    for name, value in measures._asdict().items():
        print(f"{name:<14}{value:>10.3f}")
    print(SUCCESS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
