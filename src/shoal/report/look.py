"""The colours of charts, for pages that show them."""

from __future__ import annotations

CHART_CSS = """\
:root {
  --chart-successful: #2f9e6e; --chart-failed: #d64545; --chart-interrupted: #e08a1e;
  --chart-cancelled: #a56bd0; --chart-running: #3b82d8; --chart-ink: #5b6675;
  --chart-grid: #e3e7ec; --chart-lane: #dfe4ea; --chart-mark: #8a4b00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --chart-successful: #3fb883; --chart-failed: #f06a6a; --chart-interrupted: #f0a548;
    --chart-cancelled: #bd8be3; --chart-running: #5ba0ee; --chart-ink: #9aa7b6;
    --chart-grid: #2a323d; --chart-lane: #303945; --chart-mark: #ffd9a3;
  }
}
.gantt, .chart { display: block; font-family: inherit; font-variant-numeric: tabular-nums; }
.gantt text, .chart text { fill: var(--chart-ink); }
.gantt .grid, .chart .grid { stroke: var(--chart-grid); stroke-width: 1; fill: none; }
.gantt .lane { stroke: var(--chart-lane); stroke-width: 1.5; fill: none; }
.gantt .mark { stroke: var(--chart-mark); stroke-width: 1.6; fill: none; }
.gantt .span { color: var(--chart-successful); fill: currentColor; }
.gantt .span.failed { color: var(--chart-failed); }
.gantt .span.interrupted { color: var(--chart-interrupted); }
.gantt .span.cancelled { color: var(--chart-cancelled); }
.gantt .span.running { color: var(--chart-running); }
.gantt path.span { fill: none; stroke: currentColor; }
.gantt a:hover .span, .gantt a:focus-visible .span { opacity: 0.65; }
.chart .bar { fill: var(--chart-running); }
.chart .bar.tail { fill: var(--chart-interrupted); }
.chart .rule { stroke: var(--chart-mark); stroke-width: 1.2; stroke-dasharray: 3 3; fill: none; }
"""
"""For `shoal.report.gantt` and `.histogram`. A page that has a theme of its own sets the
custom properties where it is chosen."""
