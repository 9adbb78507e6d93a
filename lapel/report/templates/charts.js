"use strict";
// Each chart is drawn from the JSON beside it, in the page's own colours, at the width that it has.
(() => {
  const HEIGHT = 190;
  const LEAST = 0.02; // An axis spans so much of its values at least: of less, a line says nothing, and numbers read the same.
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (value) => value == null ? "" : value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(1) : String(+value.toPrecision(3));
  const kept = Number(document.body.querySelector("main").dataset.keptStep || NaN);
  const drawn = [];

  function span(low, high) {
    const more = Math.max(0, LEAST * Math.max(Math.abs(low), Math.abs(high)) - (high - low)) / 2;
    return uPlot.rangeNum(low - more, high + more, 0.1, true);
  }

  function axes() {
    const shared = {
      stroke: () => colour("--quiet"),
      font: `12px ${getComputedStyle(document.body).fontFamily}`,
      grid: { stroke: () => colour("--line"), width: 1 },
      ticks: { show: false },
    };
    return [
      { ...shared, grid: { show: false }, size: 26, space: 60, values: (_, steps) => steps.map((step) => Number.isInteger(step) ? step : "") },
      { ...shared, size: 52, space: 36, values: (_, values) => values.map(number) },
    ];
  }

  function markKept(plot) {
    const [first, last] = [plot.scales.x.min, plot.scales.x.max];
    if (!(kept >= first && kept <= last)) return;
    const { ctx, bbox } = plot, x = plot.valToPos(kept, "x", true);
    ctx.save();
    ctx.strokeStyle = colour("--accent");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  }

  function draw(figure) {
    const chart = JSON.parse(figure.querySelector("script").textContent);
    const place = figure.querySelector(".plot"), output = figure.querySelector("output");
    const last = chart.steps.length - 1, few = last < 20;
    const ink = () => colour("--accent"), faint = () => colour("--faint");
    const data = [chart.steps, chart.values];
    const series = [{}, { stroke: chart.smooth ? faint : ink, width: chart.smooth ? 1 : 2, points: { show: few, size: 6, fill: ink } }];
    const bands = [];
    if (chart.smooth) {
      data.push(chart.smooth);
      series.push({ stroke: ink, width: 2, points: { show: false } });
    }
    if (chart.low) {
      data.push(chart.high, chart.low);
      series.push({ stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } });
      bands.push({ series: [data.length - 2, data.length - 1], fill: () => colour("--band") });
    }
    const tell = (index) => {
      const low = chart.low && chart.low[index], high = chart.high && chart.high[index];
      const range = low != null && high != null ? ` (${number(low)} to ${number(high)})` : "";
      output.textContent = `${number(chart.values[index])}${range} · step ${chart.steps[index]}`;
    };
    const usual = chart.steps.includes(kept) ? chart.steps.indexOf(kept) : last;
    tell(usual);
    const plot = new uPlot({
      width: place.clientWidth, height: HEIGHT, padding: [8, 16, 0, 0],
      series, bands, axes: axes(),
      scales: { x: { time: false }, y: { range: (_, low, high) => span(low, high) } },
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 8, fill: ink }, sync: { key: "steps" } },
      hooks: { draw: [markKept], setCursor: [(self) => tell(self.cursor.idx ?? usual)] },
    }, data, place);
    new ResizeObserver(() => {
      if (place.clientWidth && place.clientWidth !== plot.width) plot.setSize({ width: place.clientWidth, height: HEIGHT });
    }).observe(place);
    drawn.push(plot);
  }

  document.querySelectorAll(".chart").forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((plot) => plot.redraw(false)));
})();
