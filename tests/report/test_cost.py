"""What a job costs on AWS is what the documentation says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shoal.report.cost import cost_of, orchestration

COSTS_PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "costs.md"


def test_a_million_jobs_cost_what_the_documentation_says() -> None:
    """Service by service; two truths would be none."""
    page = COSTS_PAGE.read_text()
    rows = re.findall(r"^\| ([\w ,0-9]+?) \|.*\| \$([0-9.]+) \|$", page, re.M)
    said = {service: float(amount) for service, amount in rows}
    lines = orchestration(1_000_000, [1.0] * 1_000_000, 0)
    assert len(lines) == 8
    for line in lines:
        assert said[line.service] == pytest.approx(line.usd, abs=0.006), line
    assert f"| **about ${sum(line.usd for line in lines):.0f}** |" in page


def test_long_jobs_and_workers_cost_transitions() -> None:
    """An hour's job renews its task token twelve times; a worker's life takes twenty more."""
    transitions, calls, *_ = orchestration(1, [3600.0], 1)
    assert transitions.units == 3 + 2 * 12 + 20
    assert calls.units == 4 + 12


def test_machines_cost_their_hours() -> None:
    """Hours are counted by type where it is known, and cost where somebody says how much."""
    lives = {"i-1": 3600.0, "i-2": 1800.0}
    of = cost_of(10, [60.0], lives, {"i-1": "c7i.large"}, in_cloud=True, hourly_usd=0.1)
    assert of.machine_hours == 1.5
    assert of.hours_by_type == {"c7i.large": 1.0, "": 0.5}
    assert of.machines_usd == pytest.approx(0.15)
    assert of.usd_a_job == pytest.approx((0.15 + of.orchestration_usd) / 10)
    local = cost_of(10, [60.0], lives, {}, in_cloud=False, hourly_usd=None)
    assert (local.lines, local.orchestration_usd, local.machines_usd) == ([], 0, None)
    assert local.usd_a_job is None
