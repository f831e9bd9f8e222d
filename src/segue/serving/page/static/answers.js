// The answer of one model: its list, what other models make of it, and why.

import { badge, count, failure, h, icon, milliseconds, number, whole } from "./dom.js";
import { showWhy } from "./why.js";

const FALLBACKS = {
  "empty-session": "popular items: the session is empty",
  "unknown-items": "popular items: no item is known",
  "cold-items": "popular items: no item can be read",
};

export function answerCard(given, place, context) {
  const { model, answer, error } = given;
  return h(
    "section",
    { class: `card answer m${place}`, "aria-label": model },
    header(given, place, context),
    error ? h("div", { class: "rest" }, failure(error, context.retry)) : [facts(given, place, context), list(given, place, context), ignored(answer)],
  );
}

function header({ model, answer }, place, context) {
  const free = context.models.filter((one) => one.name === model || !context.chosen.includes(one.name));
  const select = h(
    "select",
    { class: "model", title: model, "aria-label": `Model ${place + 1}`, "data-key": `model-${place}`, onchange: (event) => context.replace(place, event.target.value) },
    free.map((one) => h("option", { value: one.name, selected: one.name === model }, one.name)),
  );
  const why = showWhy.available && answer && answer.items.length > 0 && !answer.fallback && context.session.length > 0;
  return h(
    "div",
    { class: "answer-head" },
    h("span", { class: "swatch", "aria-hidden": "true" }),
    select,
    why && h("button", { type: "button", class: "button quiet", "data-key": `why-${place}`, onclick: () => showWhy(model, context) }, "Why"),
    context.chosen.length > 1 && h("button", { type: "button", class: "icon tiny", "aria-label": `Remove ${model}`, onclick: () => context.remove(place) }, icon("close")),
  );
}

function facts({ answer, trip }, place, context) {
  const common = place > 0 ? inCommon(answer, context.answers[0].answer) : null;
  return h(
    "p",
    { class: "facts soft" },
    h("span", { title: `${milliseconds(trip)} with the way to the browser; version ${answer.version}` }, milliseconds(answer.took_ms)),
    common && h("span", { title: `in common with ${context.chosen[0]}` }, `${common} in common`, h("span", { class: "unseen" }, ` with ${context.chosen[0]}`)),
    answer.fallback && badge(FALLBACKS[answer.fallback] ?? answer.fallback, "warn"),
    answer.arm && badge(`arm ${answer.arm}`),
  );
}

function inCommon(answer, first) {
  if (!first) return null;
  const known = new Set(first.items.map((one) => one.item));
  return `${answer.items.filter((one) => known.has(one.item)).length} of ${answer.items.length}`;
}

function list(given, place, context) {
  const rows = given.answer.items.map((one, rank) => row(one, rank, place, context));
  return rows.length ? h("ol", { class: "ranking" }, rows) : h("p", { class: "empty soft" }, "No item is left to list.");
}

function row(one, rank, place, context) {
  const { mark, said } = shift(one.item, rank, place, context);
  const name = one.name ?? one.item;
  const moved = one.rank_by_model && one.rank_by_model !== rank + 1 ? `rank ${one.rank_by_model} before the rules` : "";
  return h(
    "li",
    { "data-item": one.item, onpointerenter: () => link(one.item, true), onpointerleave: () => link(one.item, false) },
    h(
      "button",
      { type: "button", class: "listed", "data-key": `${place}/${one.item}`, title: `Add ${name} (${one.item}) to the session`, onclick: () => context.append(one.item), onfocus: () => link(one.item, true), onblur: () => link(one.item, false) },
      h("span", { class: "place" }, String(rank + 1)),
      h("span", { class: "what" }, name, one.cold && badge("new item", "", one.cold), one.arm && badge(one.arm), one.rule && badge(one.rule, "rule", moved || "moved by a rule")),
      mark,
      h("span", { class: "unseen" }, said),
      h("span", { class: "score", title: `score ${one.score}` }, Math.abs(one.score) < 1000 ? number(one.score, 2) : whole(one.score)),
    ),
  );
}

// How far an item is from its rank in the first list; in the first list, whether the others have it too.
function shift(item, rank, place, context) {
  const others = context.answers.filter((one, number) => one.answer && number !== place);
  if (!others.length) return { mark: null, said: "" };
  if (place === 0 || !context.answers[0].answer) {
    const shared = others.some((one) => one.answer.items.some((listed) => listed.item === item));
    return shared ? { mark: h("span", { class: "shift" }), said: "" } : { mark: h("span", { class: "shift only", "aria-hidden": "true", title: "No other model lists it" }, "only"), said: "listed by no other model" };
  }
  const before = context.answers[0].answer.items.findIndex((one) => one.item === item);
  const first = context.chosen[0];
  if (before < 0) return { mark: h("span", { class: "shift only", "aria-hidden": "true", title: `Not listed by ${first}` }, "new"), said: `not listed by ${first}` };
  const up = before - rank;
  const text = up === 0 ? "=" : up > 0 ? `▲ ${up}` : `▼ ${-up}`;
  const said = up === 0 ? `same rank as ${first}` : `${Math.abs(up)} ${up > 0 ? "above" : "below"} its rank at ${first}`;
  return { mark: h("span", { class: `shift ${up > 0 ? "up" : up < 0 ? "down" : ""}`, "aria-hidden": "true", title: said }, text), said };
}

function link(item, on) {
  for (const row of document.querySelectorAll(".ranking li")) row.classList.toggle("linked", on && row.dataset.item === item);
}

function ignored(answer) {
  if (!answer.ignored.length) return null;
  const names = answer.ignored.map((one) => one.item).join(", ");
  return h("p", { class: "note soft" }, `${count(answer.ignored.length, "item")} of the session not used: ${names}`);
}
