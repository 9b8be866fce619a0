"""Numbers as people say them."""

from __future__ import annotations

import pytest

from shoal.report.words import counted, percent, rate, spoken


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.0016, "1.6 ms"),
        (0.04, "40 ms"),
        (0.9999, "1.0 s"),
        (3.21, "3.2 s"),
        (9.97, "10 s"),
        (59.7, "1 min"),
        (843, "14 min 3 s"),
        (3600, "1 h"),
        (7_500, "2 h 5 min"),
        (274_000, "3 d 4 h"),
    ],
)
def test_times(seconds: float, said: str) -> None:
    assert spoken(seconds) == said


def test_counts_shares_and_rates() -> None:
    assert (counted(1, "job"), counted(1_200, "job")) == ("1 job", "1,200 jobs")
    assert [percent(share) for share in (0, 0.0001, 0.05, 0.5, 0.99995, 1)] == [
        *("0 %", "<0.1 %", "5.0 %", "50 %", ">99.9 %", "100 %")
    ]
    assert [rate(of) for of in (1_500, 2.5, 0.2, 0.001, 1e-6)] == [
        *(("1,500", "second"), ("2.5", "second"), ("12", "minute")),
        *(("3.6", "hour"), ("0.1", "day")),
    ]
