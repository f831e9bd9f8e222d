// Charts with axes: uPlot, in the colours of the theme, with a tooltip and the same figures as a table.

import { clear, h, short } from "./dom.js";

function colour(name) {
  const probe = h("span", { style: { color: name.startsWith("--") ? `var(${name})` : name } });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function faded(rgb, alpha) {
  const [red, green, blue] = rgb.match(/[\d.]+/g);
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function day(seconds, withTime = false) {
  const when = new Date(1000 * seconds);
  const date = `${when.getUTCDate()} ${MONTHS[when.getUTCMonth()]} ${when.getUTCFullYear()}`;
  return withTime ? `${date}, ${when.toISOString().slice(11, 16)}` : date;
}

// Draw series over x into a new element.
//
// options.x: values, label, format(value), time, log; options.y: format(value), log, from (least value of the scale)
// options.series: label, values, colour, bars, fill, width, points, hidden; options.lines: x, label
// The result has update(x, series) for new values, and destroy().
export function chart(options) {
  const { height = 220, lines = [], x, y = {} } = options;
  const formatX = x.format ?? short;
  const formatY = y.format ?? short;
  const plot = h("div", { style: { "min-height": `${height}px` } });
  const tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  const legend = h("div", { class: "legend" });
  const host = h("figure", { class: "chart", role: "img", "aria-label": options.label }, legend, plot);
  let series = options.series;
  let values = x.values;
  let drawn = null;

  function build() {
    drawn?.destroy();
    const soft = colour("--soft");
    const grid = { stroke: faded(colour("--strong-line"), 0.45), width: 1 };
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: soft, font, grid, ticks: { show: false }, gap: 8 };
    const bare = { grid: { show: false }, border: { show: true, stroke: faded(colour("--strong-line"), 0.9), width: 1 } };
    const shown = series.map((one) => {
      const line = colour(one.colour);
      const bars = one.bars ? { paths: uPlot.paths.bars({ size: [0.92, 80], radius: [0.12, 0] }), points: { show: false } } : {};
      const points = one.points ? { show: true, size: 6, fill: colour("--card"), stroke: line, width: 1.5 } : { show: true, size: 4, fill: line, filter: alone };
      return { label: one.label, stroke: one.bars ? "transparent" : line, width: one.bars ? 0 : (one.width ?? 2), fill: one.bars ? faded(line, 0.85) : one.fill ? faded(line, 0.1) : undefined, points, spanGaps: false, ...bars };
    });
    const settings = {
      width: Math.max(240, plot.clientWidth || 560),
      height,
      padding: [12, 14, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 7, width: 1.5, fill: colour("--card") }, drag: { x: false, y: false } },
      scales: {
        x: { time: Boolean(x.time), distr: x.log ? 3 : 1, range: x.range },
        y: { distr: y.log ? 3 : 1, range: y.log ? (_, low, high) => [low / 1.3, high * 1.3] : (_, low, high) => scaleOf(low, high, y) },
      },
      axes: [
        { ...axis, ...bare, size: 34, space: x.space ?? 72, splits: x.splits ?? (x.log ? logSplits : undefined), values: x.time ? (_, ticks) => dates(ticks) : (u, ticks) => thinned(u, ticks.map((tick) => (tick === null ? null : formatX(tick)))) },
        { ...axis, size: (u, texts) => 18 + 7 * Math.max(2, ...(texts ?? []).map((text) => String(text ?? "").length)), space: 36, splits: y.log ? logSplits : undefined, values: (_, ticks) => ticks.map((tick) => (tick === null ? null : formatY(tick))) },
      ],
      series: [{}, ...shown],
      hooks: { draw: [(u) => drawLines(u, lines, colour("--ink"), colour("--card"), font)], setCursor: [(u) => showTip(u)] },
    };
    drawn = new uPlot(settings, [values, ...series.map((one) => one.values)], plot);
    drawn.over.append(tip);
  }

  function showTip(u) {
    const place = u.cursor.idx;
    tip.hidden = place === null || place === undefined || u.cursor.left < 0;
    if (tip.hidden) return;
    const rows = series
      .filter((one) => one.values[place] !== null && one.values[place] !== undefined && !(one.bars && series.length > 1 && !one.values[place]))
      .map((one) => h("div", { class: "tip-row" }, h("span", { class: "key", style: { background: `var(${one.colour})` } }), h("span", {}, one.label), h("b", {}, (one.format ?? formatY)(one.values[place]))));
    clear(tip, h("div", { class: "tip-head" }, (x.tip ?? formatX)(values[place], place)), rows);
    const left = u.valToPos(values[place], "x");
    tip.style.left = `${left}px`;
    tip.classList.toggle("left", left > u.over.clientWidth / 2);
  }

  clear(legend, series.length > 1 ? series.map((one) => h("span", { class: "entry" }, h("span", { class: "key", style: { background: `var(${one.colour})` } }), one.label)) : null);
  legend.hidden = series.length < 2;
  const resized = new ResizeObserver(() => {
    if (!host.isConnected || !plot.clientWidth) return;
    if (!drawn) build();
    else if (drawn.width !== plot.clientWidth) drawn.setSize({ width: plot.clientWidth, height });
  });
  resized.observe(plot);
  const repaint = () => drawn && build();
  addEventListener("segue-theme", repaint);
  return {
    element: host,
    update(newValues, newSeries) {
      values = newValues;
      series = series.map((one, place) => ({ ...one, values: newSeries[place] }));
      drawn?.setData([values, ...newSeries]);
    },
    destroy() {
      resized.disconnect();
      removeEventListener("segue-theme", repaint);
      drawn?.destroy();
    },
  };
}

// A value without neighbours makes no line.
function alone(u, number) {
  const values = u.data[number];
  const missing = (value) => value === null || value === undefined;
  return values.flatMap((value, place) => (!missing(value) && missing(values[place - 1]) && missing(values[place + 1]) ? [place] : []));
}

function scaleOf(low, high, { from, least = 0 }) {
  if (low === null || high === null || low === undefined) return [0, Math.max(1, least)];
  if (from !== undefined) return [from, Math.max(high * 1.08, from + least) || 1];
  const room = 0.1 * (high - low) || 0.1 * Math.abs(high) || 1;
  return [low - room, high + room];
}

// 1, 2 and 5 times powers of ten; powers alone where there are many.
function logSplits(u, axis, low, high) {
  const digits = Math.log10(high / low) > 3 ? [1] : [1, 2, 5];
  const powers = Array.from({ length: 24 }, (_, place) => 10 ** (place - 8));
  return powers.flatMap((power) => digits.map((digit) => digit * power)).filter((tick) => tick >= low && tick <= high);
}

// Leave out labels for which there is no room.
function thinned(u, texts) {
  const each = u.bbox.width / devicePixelRatio / Math.max(1, texts.length);
  const step = Math.ceil((8 + 7 * Math.max(...texts.map((text) => text?.length ?? 0))) / Math.max(each, 1));
  return texts.map((text, place) => (place % step ? null : text));
}

function dates(ticks) {
  let before = "";
  return ticks.map((tick) => {
    if (tick === null) return null;
    const when = new Date(1000 * tick);
    const date = `${when.getUTCDate()} ${MONTHS[when.getUTCMonth()]}`;
    const clock = when.toISOString().slice(11, 16);
    const text = clock === "00:00" || date !== before ? date : clock;
    before = date;
    return text;
  });
}

// Vertical lines with a label on top.
function drawLines(u, lines, ink, paper, font) {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  ctx.font = font.replace(/^[\d.]+px/, `${12 * ratio}px`);
  let [edge, top] = [0, 0];
  lines.forEach((line, number) => {
    const left = Math.round(u.valToPos(line.x, "x", true));
    if (left < bbox.left - 1 || left > bbox.left + bbox.width + 1) return;
    ctx.strokeStyle = ink;
    ctx.lineWidth = ratio;
    ctx.setLineDash([4 * ratio, 3 * ratio]);
    ctx.beginPath();
    ctx.moveTo(left, bbox.top);
    ctx.lineTo(left, bbox.top + bbox.height);
    ctx.stroke();
    ctx.setLineDash([]);
    const width = ctx.measureText(line.label).width;
    const before = left + width + 12 * ratio > bbox.left + bbox.width || (lines[number + 1] && u.valToPos(lines[number + 1].x, "x", true) - left < width + 14 * ratio);
    const start = before ? left - width - 6 * ratio : left + 6 * ratio;
    top = start < edge ? top + 18 * ratio : 0;
    edge = start + width + 4 * ratio;
    ctx.fillStyle = paper;
    ctx.globalAlpha = 0.85;
    ctx.fillRect(start - 3 * ratio, bbox.top + top, width + 6 * ratio, 18 * ratio);
    ctx.globalAlpha = 1;
    ctx.fillStyle = ink;
    ctx.fillText(line.label, start, bbox.top + top + 13 * ratio);
  });
  ctx.restore();
}

// The figures of a chart, for those who cannot see it.
export function figures(heads, rows) {
  return h(
    "details",
    { class: "figures" },
    h("summary", {}, "As a table"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Figures" }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((text, place) => h("th", { scope: "col", class: place ? "figure" : "" }, text)))), h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, place) => h(place ? "td" : "th", place ? { class: "figure" } : { scope: "row" }, cell))))))),
  );
}
