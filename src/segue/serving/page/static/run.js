// How the models of a run were trained: curves, findings of the linter, configuration.

import { chart, figures } from "./chart.js";
import { badge, card, count, h, number, state } from "./dom.js";
import { showRun } from "./runs.js";

const COLOURS = ["--m0", "--m1", "--m2", "--m3", "--m4", "--m5", "--m6", "--m7"];
const KINDS = { error: "bad", warning: "warn", note: "" };

export function mount(root, parameters) {
  let charts = [];
  showRun(root, "Run", parameters, (run) => {
    charts = curves(run);
    const drawn = charts.length
      ? h("div", { class: charts.length > 1 ? "two" : "stack" }, charts.map((one) => card(one.title, one.note, one.chart.element, one.table)))
      : h("div", { class: "card" }, state("No curves", "No model of this run learns in epochs."));
    root.append(h("div", { class: "stack" }, drawn, findings(run), configuration(run)));
  });
  return { destroy: () => charts.forEach((one) => one.chart.destroy()) };
}

function curves(run) {
  const learnt = run.trainings.filter((one) => one.epochs.length > 1).slice(0, COLOURS.length);
  const selecting = [...new Set(learnt.map((one) => one.metric))];
  const kinds = [
    ["loss", "Training loss", ""],
    ["validation", "Validation", selecting.length === 1 && selecting[0] ? `${selecting[0]} on the validation part` : "the metric that selects the epoch of each model"],
  ];
  return kinds.flatMap(([name, title, note]) => {
    const rows = learnt.filter((one) => one.epochs.some((epoch) => typeof epoch[name] === "number"));
    if (!rows.length) return [];
    const last = Math.max(...rows.map((one) => one.epochs.length));
    const epochs = Array.from({ length: last }, (_, place) => place + 1);
    const series = rows.map((row) => {
      const by = new Map(row.epochs.map((epoch) => [epoch.epoch, epoch[name] ?? null]));
      return { label: row.label, values: epochs.map((epoch) => by.get(epoch) ?? null), colour: COLOURS[learnt.indexOf(row)], points: last <= 40 };
    });
    const step = Math.max(1, Math.ceil(last / 10));
    const x = { values: epochs, format: (value) => String(value), tip: (value) => `epoch ${value}`, range: (_, low, high) => [low - 0.02 * (high - low), high + 0.02 * (high - low)], splits: () => epochs.filter((_, place) => place % step === 0) };
    const drawn = chart({ label: `${title} by epoch of ${rows.map((row) => row.label).join(", ")}`, x, series });
    const table = figures(["epoch", ...rows.map((row) => row.label)], epochs.map((epoch, place) => [String(epoch), ...series.map((one) => number(one.values[place], 4))]));
    return [{ title, note: [rows.length === 1 ? rows[0].label : "", note].filter(Boolean).join(", "), chart: drawn, table }];
  });
}

function findings(run) {
  const rows = run.findings.map((one) => h("li", { class: "finding" }, badge(one.severity, KINDS[one.severity]), h("div", {}, h("p", {}, h("b", {}, one.subject), " ", one.message), h("code", { class: "soft" }, one.code))));
  const notes = [...run.notes, ...run.models.flatMap((row) => [...row.notes, row.ties].filter(Boolean).map((text) => `${row.label}: ${text}`))];
  return card(
    "Findings of the linter",
    run.findings.length ? count(run.findings.length, "finding") : "",
    rows.length ? h("ul", { class: "findings" }, rows) : state("No findings", run.verdicts.length ? "The verdicts on the models are below the leaderboard." : "The linter found nothing that makes these results doubtful."),
    notes.length ? [h("h3", { class: "spaced" }, "Notes"), h("ul", { class: "notes soft" }, notes.map((text) => h("li", {}, text)))] : null,
  );
}

function configuration(run) {
  const table = (values) =>
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Parameters" }, h("table", { class: "pairs" }, h("tbody", {}, Object.entries(values).map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, name)), h("td", {}, h("code", {}, value)))))));
  const part = (title, about, values, open) => {
    const size = Object.keys(values).length;
    return h("details", { class: "part", open }, h("summary", {}, h("span", { class: "what" }, title), h("span", { class: "soft" }, about || count(size, "parameter"))), size ? table(values) : h("p", { class: "soft" }, "It has no parameters."));
  };
  return card(
    "Configuration",
    "All parameters, as they were used.",
    run.models.map((row) => part(row.label, row.baseline ? "baseline" : "", row.config, false)),
    part("Protocol", run.protocol, run.settings, false),
  );
}
