// The log of a run: its size at each step, session lengths, popularity, and the events over time with the lines of the split.

import { chart, day, figures } from "./chart.js";
import { card, h, percent, short, state, whole } from "./dom.js";
import { showRun } from "./runs.js";

const PARTS = { train: ["training", "--m0"], valid: ["validation", "--m4"], test: ["test", "--m1"] };

export function mount(root, parameters) {
  const charts = [];
  const keep = (one) => (charts.push(one), one.element);
  showRun(root, "Data", parameters, (run) => {
    const found = run.data.distributions;
    root.append(
      h(
        "div",
        { class: "stack" },
        tiles(run),
        found ? [timeline(found.timeline, keep), h("div", { class: "two" }, lengths(found.lengths, keep), popularity(found.popularity, keep))] : h("div", { class: "card" }, state("No distributions", "An older version of segue wrote this run. Repeat it to see distributions and the timeline.")),
        stages(run),
      ),
    );
  });
  return { destroy: () => charts.forEach((one) => one.destroy()) };
}

function tiles(run) {
  const log = run.data.stages[0];
  const tile = (name, value, about) => h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value, about && h("small", {}, about)));
  const span = log.first_time ? `${day(Date.parse(`${log.first_time}Z`) / 1000)} – ${day(Date.parse(`${log.last_time}Z`) / 1000)}` : null;
  return h(
    "dl",
    { class: "tiles card" },
    tile("Events", whole(log.events), span),
    tile("Sessions", whole(log.sessions), `${whole(log.length_median)} events in the median, ${whole(log.length_p95)} at the 95th percentile`),
    tile("Items", whole(log.items), `the most popular 10% have ${percent(log.top_10_percent, 0)} of the events`),
    tile("Test cases", whole(run.data.test_cases), run.data.valid_cases ? `${whole(run.data.valid_cases)} for validation` : "no validation part"),
    tile("Density", percent(run.data.density, run.data.density < 0.001 ? 4 : 2), run.data.density_class),
  );
}

function timeline(found, keep) {
  if (!found) return card("Events over time", "", state("No timeline", "The log has no times."));
  const names = Object.keys(found.parts);
  const moments = found.parts[names[0]].map((_, place) => found.start + place * found.step);
  const middle = moments.map((one) => one + found.step / 2);
  const lines = Object.entries(found.lines).map(([name, moment]) => ({ x: moment, label: PARTS[name][0] })).sort((one, other) => one.x - other.x);
  const series = names.map((name) => ({ label: PARTS[name][0], values: found.parts[name], colour: PARTS[name][1], bars: true, format: whole }));
  const long = found.step >= 86400;
  const x = { values: middle, time: true, tip: (_, place) => day(moments[place], !long), range: () => [moments[0], moments.at(-1) + found.step], space: 84 };
  const drawn = chart({ label: "Events over time by part of the split", x, y: { from: 0, format: short }, series, lines, height: 230 });
  const steps = { 60: "minute", 3600: "hour", 86400: "day", 604800: "week" };
  const step = steps[found.step] ?? (found.step % 86400 ? `${short(found.step / 3600)} hours` : `${found.step / 86400} days`);
  const note = `Per ${step}, UTC: training events, and the events to predict in validation and test. ${lines.length ? "The lines are where the split begins these parts." : names.length > 1 ? "The split does not divide the log by time, so there are no lines." : ""}`;
  return card("Events over time", note, keep(drawn), figures(["from", ...names.map((name) => PARTS[name][0])], moments.map((moment, place) => [day(moment, !long), ...names.map((name) => whole(found.parts[name][place]))])));
}

function lengths(rows, keep) {
  const label = ([low, high]) => (high === null ? `over ${low - 1}` : low === high ? String(low) : `${low}–${high}`);
  const places = rows.map((_, place) => place);
  const values = rows.map((row) => row[2]);
  const x = { values: places, format: (value) => (rows[value] ? label(rows[value]) : ""), tip: (value) => `${label(rows[value])} ${rows[value][0] === 1 && rows[value][1] === 1 ? "event" : "events"}`, range: () => [-0.6, rows.length - 0.4], splits: () => places, space: 30 };
  const drawn = chart({ label: "Training sessions by number of events", x, y: { from: 0, format: short }, series: [{ label: "sessions", values, colour: "--m0", bars: true, format: whole }] });
  return card("Session lengths", "Training sessions by their number of events.", keep(drawn), figures(["events", "sessions"], rows.map((row) => [label(row), whole(row[2])])));
}

function popularity(rows, keep) {
  if (!rows.length) return card("Popularity", "", state("No training events", ""));
  const half = rows.find((row) => row[2] >= 0.5);
  const x = { values: rows.map((row) => row[0]), log: true, format: whole, tip: (value) => `rank ${whole(value)}`, range: () => [1, Math.max(2, rows.at(-1)[0])] };
  const drawn = chart({
    label: "Training events of an item by its rank in popularity, both logarithmic",
    x,
    y: { log: true, format: short },
    series: [{ label: "events", values: rows.map((row) => Math.max(row[1], 0.5)), colour: "--m0", fill: true, format: whole }],
  });
  return card("Popularity", `Training events of each item by rank, on logarithmic scales. Half of the events are on the ${whole(half[0])} most popular items.`, keep(drawn), figures(["rank", "events", "share up to it"], rows.map((row) => [whole(row[0]), whole(row[1]), percent(row[2])])));
}

function stages(run) {
  const facts = Object.keys(run.data.stages[0]).filter((name) => !["step", "part", "why", "all_items", "item_min", "item_max"].includes(name));
  const cell = (name, value) => {
    if (value === null || value === undefined) return "–";
    if (name.endsWith("_time")) return value.slice(0, 16).replace("T", " ");
    return Number.isInteger(value) ? whole(value) : typeof value === "number" ? short(value, 4) : value;
  };
  const rows = facts
    .filter((name) => run.data.stages.some((stage) => stage[name] !== null))
    .map((name) => h("tr", {}, h("th", { scope: "row" }, name.replaceAll("_", " ")), run.data.stages.map((stage) => h("td", { class: "figure" }, cell(name, stage[name])))));
  const heads = run.data.stages.map((stage) => h("th", { scope: "col", class: "figure", title: stage.why }, stage.part, h("small", {}, stage.step)));
  return card("The log, step by step", "", h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Statistics" }, h("table", { class: "steps" }, h("thead", {}, h("tr", {}, h("th", {}, h("span", { class: "unseen" }, "statistic")), heads)), h("tbody", {}, rows))));
}
