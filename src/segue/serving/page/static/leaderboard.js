// The models of a run by a metric, with 95% intervals; results with another protocol hash are not comparable.

import { badge, card, clear, copyButton, h, number, short, whole } from "./dom.js";
import { showRun } from "./runs.js";

export function mount(root, parameters) {
  showRun(root, "Leaderboard", parameters, (run) => root.append(h("div", { class: "stack" }, about(run), board(run), differences(run))));
  return {};
}

function about(run) {
  const fact = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  return h(
    "div",
    { class: "card" },
    h(
      "dl",
      { class: "facts-list" },
      fact("Log", run.log),
      fact("Test cases", whole(run.data.test_cases)),
      fact("Protocol", run.protocol),
      fact("Protocol hash", h("code", {}, run.hash), copyButton(run.hash, "hash")),
      fact("Seed", String(run.seed)),
      run.sampled && fact("Candidates", badge(`sampled: ${run.sampled}`, "warn")),
    ),
    run.doubts.map((text) => h("p", { class: "verdict" }, text)),
  );
}

function board(run) {
  const metrics = Object.keys(run.models[0].metrics);
  const shown = run.headline.length > 1 ? run.headline : [...run.headline, ...metrics.filter((one) => !run.headline.includes(one)).slice(0, 1)];
  let by = run.headline[0];
  const host = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Leaderboard" });
  const select = h("select", { "aria-label": "Metric", onchange: (event) => ((by = event.target.value), draw()) }, metrics.map((one) => h("option", { value: one, selected: one === by }, one)));

  function draw() {
    const lower = run.lower.includes(by);
    const rows = [...run.models].sort((one, other) => order(one, other, by, lower));
    const bounds = rows.flatMap((row) => interval(row, by)).filter(Number.isFinite);
    const low = Math.min(...bounds);
    const high = Math.max(...bounds);
    const room = 0.03 * (high - low) || 0.1;
    const scale = (value) => `${(100 * (value - low + room)) / (high - low + 2 * room)}%`;
    const columns = [by, ...shown.filter((one) => one !== by)];
    const ticks = niceTicks(low - room, high + room);
    clear(
      host,
      h(
        "table",
        { class: "board" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "model"), columns.slice(0, 1).map((metric) => h("th", { scope: "col", class: "figure" }, metric)), h("th", { scope: "col", class: "whiskers" }, h("span", { class: "unseen" }, "95% interval"), h("span", { class: "axis", "aria-hidden": "true" }, ticks.map((tick) => h("span", { style: { left: scale(tick) } }, short(tick, 4))))), columns.slice(1).map((metric) => h("th", { scope: "col", class: "figure" }, metric)), ["fit", "per session", "parameters"].map((name) => h("th", { scope: "col", class: "figure" }, name)))),
        h("tbody", {}, rows.map((row) => line(row, columns, by, run, scale, ticks))),
      ),
    );
  }
  draw();
  const note = `${run.lower.includes(by) ? "Lower is better. " : ""}Lines are the values on the test cases, bars their 95% bootstrap intervals over sessions. Baselines are grey.`;
  return h("section", { class: "card" }, h("div", { class: "card-head row between wrap" }, h("div", {}, h("h2", {}, "Models"), h("p", { class: "soft" }, note)), select), host, run.verdicts.map((text) => h("p", { class: "verdict" }, text)));
}

function niceTicks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.max(0, Math.floor(high / step) - first + 1) }, (_, place) => (first + place) * step);
}

function order(one, other, metric, lower) {
  const [a, b] = [one.metrics[metric], other.metrics[metric]];
  if (typeof a !== "number") return 1;
  if (typeof b !== "number") return -1;
  return lower ? a - b : b - a;
}

function interval(row, metric) {
  return row.confidence[metric] ?? [row.metrics[metric], row.metrics[metric]];
}

function line(row, columns, by, run, scale, ticks) {
  const [low, high] = interval(row, by);
  const value = row.metrics[by];
  const cell = (metric) => {
    const bounds = row.confidence[metric];
    return h("td", { class: "figure" }, h("span", { class: metric === by ? "strong" : "" }, number(row.metrics[metric], run.decimals)), bounds && h("small", {}, `${number(bounds[0], run.decimals)} – ${number(bounds[1], run.decimals)}`));
  };
  const drawn = typeof value === "number" && typeof low === "number";
  return h(
    "tr",
    { class: row.baseline ? "baseline" : "" },
    h("th", { scope: "row" }, row.label, row.baseline ? h("small", {}, "baseline") : row.model !== row.label && h("small", {}, row.model)),
    cell(columns[0]),
    h("td", { class: "whiskers" }, h("span", { class: "track", "aria-hidden": "true" }, ticks.map((tick) => h("i", { style: { left: scale(tick) } })), drawn && [h("span", { class: "bar", style: { left: scale(low), right: `calc(100% - ${scale(high)})` } }), h("span", { class: "point", style: { left: scale(value) } })])),
    columns.slice(1).map(cell),
    h("td", { class: "figure soft" }, row.fit_seconds >= 100 ? `${whole(row.fit_seconds)} s` : `${number(row.fit_seconds, 1)} s`),
    h("td", { class: "figure soft" }, `${number(row.latency_ms, 2)} ms`),
    h("td", { class: "figure soft" }, whole(row.parameters)),
  );
}

function differences(run) {
  if (!run.differences.length) return null;
  const signed = (value) => (typeof value === "number" ? `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(run.decimals)}` : "–");
  const heads = ["models", "metric", "difference", "95% interval", "p, corrected", ""].map((name, place) => h("th", { scope: "col", class: place > 1 && place < 5 ? "figure" : "" }, name || h("span", { class: "unseen" }, "verdict")));
  const rows = run.differences.map((one) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, one.one, h("span", { class: "soft" }, " − "), one.other),
      h("td", {}, one.metric),
      h("td", { class: "figure" }, signed(one.difference)),
      h("td", { class: "figure soft" }, `${signed(one.interval[0])} to ${signed(one.interval[1])}`),
      h("td", { class: "figure" }, one.adjusted < 0.001 ? "< 0.001" : number(one.adjusted, 3)),
      h("td", {}, one.significant ? badge("significant", "good") : badge("not significant")),
    ),
  );
  return card("Differences", "Paired permutation tests on the same cases, corrected for their number (Holm).", h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Differences" }, h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows))));
}
