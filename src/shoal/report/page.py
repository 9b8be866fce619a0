"""The report as a page: one HTML file that needs nothing else, and runs no script."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jinja2
from markupsafe import Markup

from shoal import __version__
from shoal.core.job import Status
from shoal.report.cost import PRICES_OF
from shoal.report.distribution import Distribution
from shoal.report.figures import Figures
from shoal.report.gantt import gantt_svg
from shoal.report.histogram import histogram_svg, over_time_svg
from shoal.report.look import CHART_CSS
from shoal.report.spans import Span
from shoal.report.words import counted, full_clock, percent, rate, spoken, visible

MOST_WORKERS = 50
MOST_REASONS = 20
MAX_TEXT = 160


def report_html(figures: Figures, spans: Sequence[Span], *, title: str, environment: str) -> str:
    """Make the page.

    Args:
        figures: of the jobs.
        spans: of the last runs of the same jobs.
        title: what it is called.
        environment: where the jobs ran.
    """
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("shoal.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters |= {
        "clock": full_clock,
        "counted": counted,
        "percent": percent,
        "rate": rate,
        "shown": shown,
        "spoken": spoken,
        "usd": usd,
    }
    return made.get_template("report.html").render(
        at_most_reasons=MOST_REASONS,
        at_most_workers=MOST_WORKERS,
        chart_css=Markup(CHART_CSS),  # noqa: S704 - our own
        environment=environment,
        figures=figures,
        histogram=_histogram,
        over_time=_over_time(figures),
        prices_of=PRICES_OF,
        statuses=[status for status in Status if figures.counts[status]],
        timeline=Markup(gantt_svg(spans, figures.began_at, figures.ended_at)),  # noqa: S704
        title=title,
        version=__version__,
    )


def shown(text: str) -> str:
    """Text from a job, not too long."""
    return visible(text, MAX_TEXT)


def usd(amount: float) -> str:
    """An amount of dollars, with as many digits as it needs."""
    if amount >= 0.0995 or amount == 0:
        return f"${amount:,.2f}"
    return f"${amount:.{1 - math.floor(math.log10(amount))}f}"


def _histogram(of: Distribution, noun: str) -> Markup:
    return Markup(histogram_svg(of, noun=noun))  # noqa: S704 - escaped where it is made


def _over_time(figures: Figures) -> Markup | None:
    if not figures.over_time:
        return None
    return Markup(over_time_svg(figures.over_time, figures.began_at))  # noqa: S704
