// Why a model lists its items: the parts of each score, and what leaving out an event would change.

import { get, post } from "./api.js";
import { clear, count, failure, h, number, sheet, skeleton, state } from "./dom.js";

// Whether the service explains its answers: its description says so.
export async function learnWhetherItExplains() {
  const { components } = await get("/openapi.json");
  showWhy.available = "explain" in (components?.schemas?.RecommendRequest?.properties ?? {});
}

export function showWhy(model, context) {
  const content = h("div", {});
  sheet(`Why ${model} lists these items`, content);
  fillIn(content, model, context);
}

showWhy.available = false;

async function fillIn(content, model, context) {
  clear(content, skeleton(8));
  try {
    const { explanation } = await post("/v1/recommend", { ...context.request(model), explain: true });
    await context.learn((explanation?.items ?? []).flatMap((one) => (one.parts ?? []).flatMap((part) => (part.items ?? []).map(String))));
    clear(content, explanation ? described(explanation, context.nameOf) : state("No explanation", `${model} does not say why it lists an item.`));
  } catch (error) {
    if (error.status === 422 && error.errors.some((one) => one.pointer === "/explain")) {
      showWhy.available = false;
      for (const button of document.querySelectorAll("[data-key^=why-]")) button.hidden = true;
      clear(content, state("No explanations", "This service does not explain its answers."));
    } else clear(content, failure(error, () => fillIn(content, model, context)));
  }
}

function described({ source, events, older, unknown, items, attention }, nameOf) {
  const names = events.map((one) => one.name ?? one.item);
  return [
    h("p", { class: "soft" }, "Under each item: how its score depends on every item of the session. A bar to the right means that the score would fall without that item, one to the left that it would rise."),
    source === "popularity" ? h("p", { class: "verdict" }, "The model knows no item of the session, so it lists popular items.") : null,
    older || unknown?.length ? h("p", { class: "soft" }, [older && `${count(older, "older item")} of the session ${older === 1 ? "is" : "are"} not read.`, unknown?.length && `Not known to the model: ${unknown.join(", ")}.`].filter(Boolean).join(" ")) : null,
    attention?.length ? attentionTable(names, attention) : null,
    items.map((one, rank) => itemPart(one, rank, names, nameOf)),
  ];
}

function itemPart(item, rank, names, nameOf) {
  const largest = Math.max(1e-12, ...(item.without ?? []).map(Math.abs));
  const effects = item.without?.length ? effectTable(names, item.without, largest, item.name ?? item.item) : null;
  const parts = item.parts?.length ? partTable(item.parts, names, nameOf) : null;
  return h(
    "details",
    { class: "why", open: rank === 0 },
    h("summary", {}, h("span", { class: "place" }, String(rank + 1)), h("span", { class: "what" }, item.name ?? item.item), h("span", { class: "score" }, number(item.score, 3))),
    effects,
    parts,
    !effects && !parts && h("p", { class: "soft" }, "There is nothing to tell of this item."),
  );
}

function effectTable(names, without, largest, item) {
  return h(
    "table",
    { class: "effects", "aria-label": `What each item of the session adds to ${item}` },
    h("tbody", {}, names.map((name, place) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, bar(without[place], largest)), h("td", { class: "figure" }, signed(without[place]))))),
  );
}

function bar(value, largest) {
  const width = `${(50 * Math.abs(value ?? 0)) / largest}%`;
  return h("span", { class: "both", "aria-hidden": "true" }, h("span", { class: value < 0 ? "less" : "more", style: { width } }));
}

function partTable(parts, names, nameOf) {
  const rows = parts.map((one) =>
    h(
      "tr",
      {},
      h("td", {}, one.source ?? one.kind, h("small", {}, [one.kind, ...(one.items ?? []).map((part) => nameOf(String(part)))].join(" · "))),
      h("td", {}, (one.events ?? []).map((event) => names[event] ?? event).join(", ") || "–"),
      h("td", { class: "figure" }, signed(one.value)),
    ),
  );
  const heads = ["part of the score", "through", "value"].map((text, place) => h("th", { scope: "col", class: place === 2 ? "figure" : "" }, text));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Parts of the score" }, h("table", { class: "parts" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)));
}

function attentionTable(names, attention) {
  const largest = Math.max(1e-12, ...attention.flatMap((one) => one.weights));
  const cell = (weight) => h("td", { class: "heat", title: number(weight, 4), style: { "--heat": `${Math.round((55 * weight) / largest)}%` } }, number(weight, 2));
  return h(
    "section",
    {},
    h("h3", {}, "Attention"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Attention" }, h("table", { class: "attention" }, h("thead", {}, h("tr", {}, h("th", {}), names.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, attention.map((one) => h("tr", {}, h("th", { scope: "row" }, one.name), one.weights.map(cell)))))),
  );
}

function signed(value) {
  return typeof value === "number" ? `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(3)}` : "–";
}
