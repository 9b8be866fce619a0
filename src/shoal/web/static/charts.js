"use strict";

// The charts of the overview. All numbers come from /history, columns of equal length.

const CHARTS = {
  pace: [
    ["Successful", "successful", "--ok"],
    ["Failed", "failed", "--bad"],
    ["Cancelled", "cancelled", "--off"],
  ],
  queue: [
    ["Queued", "queued", "--wait"],
    ["Started", "started", "--run"],
  ],
  workers: [["Workers", "workers", "--accent"]],
};
const HEIGHT = matchMedia("(max-width: 760px)").matches ? 110 : 150;
const LEAST_S = 120;

function colour(name) {
  // A canvas wants a plain colour; the variable may be light-dark(...).
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function faded(rgb) {
  return rgb.replace(/^rgb\((.*)\)$/, "rgba($1, 0.13)");
}

function short(value) {
  if (value >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (value >= 1e3) return `${+(value / 1e3).toPrecision(3)}k`;
  return `${value}`;
}

// While nobody points at a time, the words below a chart say what is now.
function showLast(chart) {
  if (chart.cursor.idx == null && chart.data[0].length) {
    chart.setLegend({ idx: chart.data[0].length - 1 }, false);
  }
}

function draw(place, data) {
  const series = CHARTS[place.dataset.chart];
  const axis = {
    stroke: colour("--faint"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      cursor: { y: false, points: { size: 6 } },
      legend: { markers: { width: 0, fill: (u, at) => u.series[at].stroke(u, at) } },
      hooks: { setCursor: [showLast], setData: [showLast] },
      scales: { y: { range: (u, low, high) => [0, Math.max(4, high * 1.08)] } },
      axes: [
        { ...axis, size: 26, space: 60, incrs: [60, 120, 300, 600], values: "{HH}:{mm}" },
        { ...axis, size: 38, space: 26, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6], values: (u, ticks) => ticks.map(short) },
      ],
      series: [
        {},
        ...series.map(([label, , name], at) => ({
          label,
          stroke: colour(name),
          fill: at === 0 ? faded(colour(name)) : undefined,
          width: 1.5,
          points: { show: false },
          value: (u, value) => (value == null ? "–" : value.toLocaleString("en")),
        })),
      ],
    },
    data,
    place,
  );
}

// What was before anything happened tells nothing, and takes room.
function trimmed(history) {
  const names = Object.keys(history).filter((name) => name !== "at");
  const last = history.at[history.at.length - 1];
  let first = 0;
  while (first < history.at.length && last - history.at[first] > LEAST_S && names.every((name) => !history[name][first])) first += 1;
  first = Math.max(0, first - 1);
  return Object.fromEntries(Object.entries(history).map(([name, column]) => [name, column.slice(first)]));
}

function columns(place, history) {
  return [history.at, ...CHARTS[place.dataset.chart].map(([, name]) => history[name])];
}

function run(section) {
  const places = [...section.querySelectorAll("[data-chart]")];
  let charts = null;
  let history = null;

  function drawAnew() {
    if (!history) return;
    charts?.forEach((chart) => chart.destroy());
    charts = places.map((place) => draw(place, columns(place, history)));
  }

  async function look() {
    if (document.hidden) return;
    try {
      const answer = await fetch(section.dataset.charts);
      if (!answer.ok) return;
      history = trimmed(await answer.json());
    } catch {
      return; // the rest of the page says so
    }
    if (!charts) drawAnew();
    else charts.forEach((chart, at) => chart.setData(columns(places[at], history)));
  }

  look();
  setInterval(look, 1000 * section.dataset.every);
  document.addEventListener("visibilitychange", look);
  document.addEventListener("theme", drawAnew);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
  new ResizeObserver(() => {
    charts?.forEach((chart, at) => chart.setSize({ width: places[at].clientWidth, height: HEIGHT }));
  }).observe(section);
}

document.querySelectorAll("[data-charts]").forEach(run);
