// How the service does: rate, latencies and errors of the last five minutes, the store, the models and the arms.

import { get } from "./api.js";
import { chart } from "./chart.js";
import { badge, card, clear, count, failure, h, heading, milliseconds, percent, short, skeleton, whole } from "./dom.js";

const SECONDS = 2;

export function mount(root) {
  let parts = null;
  let timer = 0;
  let stopped = false;
  const host = h("div", { class: "stack" }, h("div", { class: "card" }, skeleton(3)), h("div", { class: "two" }, h("div", { class: "card" }, skeleton(7)), h("div", { class: "card" }, skeleton(7))));
  const pulse = h("span", { class: "pulse", "aria-hidden": "true" });
  const when = h("span", { class: "soft" });
  clear(root, heading("Live", h("span", { class: "row" }, pulse, when)), host);

  async function poll() {
    try {
      const found = await get("/page/live.json");
      if (stopped) return;
      if (!parts) {
        parts = build();
        clear(host, parts.elements);
      }
      parts.show(found);
      pulse.className = "pulse on";
      when.textContent = `process ${found.process}, up for ${duration(found.uptime)}`;
    } catch (error) {
      if (stopped) return;
      pulse.className = "pulse off";
      when.textContent = `No answer: ${error.message}`;
      if (!parts) clear(host, h("div", { class: "card" }, failure(error, poll)));
      if (error.status === 401) return;
    }
    if (!document.hidden) timer = setTimeout(poll, 1000 * SECONDS);
  }

  const back = () => {
    clearTimeout(timer);
    if (!document.hidden) poll();
  };
  document.addEventListener("visibilitychange", back);
  poll();
  return {
    destroy() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", back);
      parts?.destroy();
    },
  };
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86400).toFixed(1)} days`;
}

function build() {
  const tiles = h("dl", { class: "tiles card live-tiles" });
  const [store, models, note] = [h("div"), h("div"), h("div")];
  const x = { values: [], time: false, format: ago, tip: ago, range: () => [-300, 0], splits: () => [-300, -240, -180, -120, -60, 0] };
  const rate = chart({ label: "Requests per second in the last five minutes", x, y: { from: 0, format: short, least: 1 }, height: 210, series: [{ label: "requests/s", values: [], colour: "--m0", fill: true }, { label: "errors/s", values: [], colour: "--bad" }] });
  const times = chart({
    label: "Latency in the last five minutes: median, 90th and 99th percentile",
    x,
    y: { from: 0, format: (value) => `${short(value)} ms`, least: 1 },
    height: 210,
    series: [
      { label: "p50", values: [], colour: "--m0" },
      { label: "p90", values: [], colour: "--m4" },
      { label: "p99", values: [], colour: "--m1" },
    ],
  });
  return {
    elements: [note, tiles, h("div", { class: "two" }, card("Requests", "Per second, of the API; 5xx are errors.", rate.element), card("Latency", "From the arrival of a request to the end of its answer.", times.element)), h("div", { class: "stack" }, models, store)],
    show(found) {
      const { series, span, step } = found;
      const places = series.rate.map((_, place) => -span + (place + 1) * step);
      const errors = series.errors.map((value) => (series.errors.some(Boolean) ? value : null));
      rate.update(places, [series.rate, errors]);
      times.update(places, [series.p50, series.p90, series.p99]);
      showTiles(tiles, found);
      clear(models, modelTable(found.models), found.arms.length ? armTable(found.arms, found.experiment_problem) : null);
      clear(store, storeCard(found));
      clear(note, found.workers > 1 ? h("p", { class: "verdict plain" }, `These figures are those of one of ${found.workers} processes.`) : null);
      note.hidden = found.workers < 2;
    },
    destroy() {
      rate.destroy();
      times.destroy();
    },
  };
}

function ago(seconds) {
  return seconds === 0 ? "now" : seconds % 60 ? `${-seconds} s ago` : `${-seconds / 60} min ago`;
}

function showTiles(tiles, { minute, in_flight: flying, max_in_flight: most, shed }) {
  const tile = (name, value, about) => h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value, h("small", {}, about)));
  const errors = minute.requests ? minute.errors / minute.requests : null;
  clear(
    tiles,
    tile("Requests per second", short(minute.rate, 3), `${whole(minute.requests)} in the last minute`),
    tile("p50", milliseconds(minute.p50), "median"),
    tile("p90", milliseconds(minute.p90), "9 of 10 are faster"),
    tile("p99", milliseconds(minute.p99), "99 of 100 are faster"),
    tile("Errors", percent(errors, 2), minute.refused ? `${count(minute.refused, "request")} refused as wrong` : "in the last minute"),
    tile("In flight", whole(flying), shed ? `of ${whole(most)}; ${whole(shed)} turned away so far` : `of ${whole(most)} at most`),
  );
}

function modelTable(models) {
  const heads = ["model", "version", "answers", "fallbacks", "unknown items", "one answer", ""].map((name, place) => h("th", { scope: "col", class: place > 1 && place < 6 ? "figure" : "" }, name || h("span", { class: "unseen" }, "state")));
  const rows = models.map((one) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, one.name, one.default && badge("default")),
      h("td", { class: "soft" }, h("code", {}, one.version)),
      h("td", { class: "figure" }, whole(one.answers)),
      h("td", { class: "figure" }, whole(one.fallbacks), one.answers > 0 && h("span", { class: "soft" }, ` (${percent(one.fallbacks / one.answers, 1)})`)),
      h("td", { class: "figure" }, whole(one.unknown_items)),
      h("td", { class: "figure" }, milliseconds(one.ms)),
      h("td", {}, one.problem ? badge("not reloaded", "bad", one.problem) : one.waiting ? badge(`${one.waiting} waiting`, "warn") : badge("ready", "good")),
    ),
  );
  return card("Models", "Since the process started. Fallbacks are answers of popular items.", h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Models" }, h("table", { class: "models" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows))));
}

function armTable(arms, problem) {
  const columns = [...new Set(arms.flatMap((one) => Object.keys(one)))].filter((name) => name !== "arm" && name !== "experiment");
  const heads = ["arm", "experiment", ...columns.map((name) => name.replace(/_total$/, "").replaceAll("_", " "))].map((name, place) => h("th", { scope: "col", class: place > 1 ? "figure" : "" }, name));
  const rows = arms.map((one) => h("tr", {}, h("th", { scope: "row" }, one.arm), h("td", {}, one.experiment || "–"), columns.map((name) => h("td", { class: "figure" }, name === "share" ? percent(one[name], 0) : typeof one[name] === "number" ? short(one[name], 4) : (one[name] ?? "–")))));
  return h("div", { class: "below" }, card("Arms", "Of the experiment that runs.", h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Arms" }, h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows))), problem && h("p", { class: "verdict" }, problem)));
}

function storeCard({ store, events }) {
  const { kind, problem, warning, lag } = store;
  const health = problem ? badge("does not work", "bad") : warning ? badge("needs attention", "warn") : badge("works", "good");
  const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  const kinds = { memory: "memory", sqlite: "SQLite", redis: "Redis or Valkey" };
  const facts = [fact("Kind", kinds[kind]), fact("Health", health), fact("Oldest event not committed", lag ? `${short(lag)} s` : "none")];
  for (const [name, value] of Object.entries(events)) facts.push(fact(`Events ${name}`, whole(value)));
  return card("Session store", "", h("dl", { class: "facts-list" }, facts), problem || warning ? h("p", { class: "verdict" }, problem ?? warning) : null);
}
