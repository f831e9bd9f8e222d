// A session is built by search or click; two to four models answer side by side.

import { get, post, token } from "./api.js";
import { remember } from "./address.js";
import { answerCard } from "./answers.js";
import { announce, clear, copy, copyButton, count, failure, h, heading, icon, sheet, skeleton } from "./dom.js";
import { learnWhetherItExplains } from "./why.js";

const MAX_MODELS = 4;
const LENGTHS = [5, 10, 20];
const names = new Map();

let models = [];
let session = [];
let chosen = [];
let k = 10;
let parts = {};
let asked = null;
let searched = null;

export function mount(root, parameters) {
  parts = {
    events: h("ol", { class: "events", "aria-label": "Items of the session, oldest first" }),
    clear: h("button", { type: "button", class: "link", onclick: () => change([]) }, "Clear"),
    search: h("input", { type: "search", id: "item-search", placeholder: "Search items", autocomplete: "off", spellcheck: "false", "aria-label": "Search items", "aria-controls": "found", "aria-keyshortcuts": "/" }),
    found: h("ul", { class: "found", id: "found" }),
    foundTitle: h("h3", { class: "eyebrow" }, "Popular items"),
    columns: h("div", { class: "columns" }),
    summary: h("p", { class: "soft", id: "overlap" }),
    add: h("button", { type: "button", class: "button", onclick: addModel }, icon("plus"), "Add model"),
    lengths: h("select", { "aria-label": "Length of the lists", onchange: (event) => ((k = Number(event.target.value)), ask()) }, LENGTHS.map((one) => h("option", { value: String(one) }, `${one} items`))),
  };
  const button = (name, text, onclick) => h("button", { type: "button", class: "button", onclick }, icon(name), text);
  clear(
    root,
    heading("Playground", parts.lengths, parts.add, button("link", "Copy link", () => copy(location.href, "Link")), button("code", "curl", showCurl)),
    h(
      "div",
      { class: "playground" },
      h(
        "aside",
        { class: "builder card", "aria-label": "Session" },
        h("div", { class: "card-head row between" }, h("h2", {}, "Session"), parts.clear),
        parts.events,
        h("div", { class: "search" }, icon("search"), parts.search, h("kbd", { "aria-hidden": "true" }, "/")),
        parts.foundTitle,
        parts.found,
      ),
      h("div", { class: "answers" }, parts.summary, parts.columns),
    ),
  );
  parts.search.addEventListener("input", debounce(find, 120));
  parts.search.addEventListener("keydown", fromSearch);
  parts.found.addEventListener("keydown", amongFound);
  parts.events.addEventListener("keydown", amongEvents);
  document.addEventListener("keydown", shortcut);
  start(parameters);
  return { update: restore, destroy: () => (document.removeEventListener("keydown", shortcut), asked?.abort(), searched?.abort()) };
}

async function start(parameters) {
  clear(parts.columns, skeletonCard(), skeletonCard());
  clear(parts.found, skeleton(8));
  showEvents();
  try {
    [{ models }] = await Promise.all([get("/v1/models"), learnWhetherItExplains().catch(() => {})]);
  } catch (error) {
    clear(parts.found);
    clear(parts.columns, failure(error, () => start(parameters)));
    return;
  }
  restore(parameters);
}

// Take session, models and length from the address.
async function restore(parameters) {
  const known = models.map((one) => one.name);
  session = parameters.getAll("item").slice(0, 100);
  chosen = parameters.getAll("model").filter((name) => known.includes(name)).slice(0, MAX_MODELS);
  const best = [...models].sort((one, other) => other.default - one.default).map((one) => one.name);
  if (!chosen.length) chosen = best.slice(0, 2);
  k = LENGTHS.includes(Number(parameters.get("k"))) ? Number(parameters.get("k")) : 10;
  parts.lengths.value = String(k);
  find();
  showEvents();
  ask();
  if (await learn(session)) showEvents();
}

// Ask for the names of items that are not known yet; returns whether there were any.
async function learn(items) {
  const missing = [...new Set(items)].filter((item) => !names.has(item)).slice(0, 100);
  await Promise.all(missing.map((item) => get(`/v1/items/${encodeURIComponent(item)}`).then(keep, () => names.set(item, null))));
  return missing.length > 0;
}

function keep(item) {
  if (item.name !== undefined || !names.has(item.item)) names.set(item.item, item.name ?? null);
}

function nameOf(item) {
  return names.get(item) ?? item;
}

function change(items, said) {
  session = items;
  showEvents();
  ask();
  announce(said ?? "The session is empty");
}

function append(item) {
  change([...session, item], `${nameOf(item)} added`);
}

function removeAt(place) {
  const [gone] = session.slice(place, place + 1);
  change(session.toSpliced(place, 1), `${nameOf(gone)} removed`);
  const left = parts.events.querySelectorAll("button");
  (left[Math.min(place, left.length - 1)] ?? parts.search).focus();
}

function showEvents() {
  parts.clear.hidden = !session.length;
  if (!session.length) {
    clear(parts.events, h("li", { class: "empty soft" }, "Nothing yet. Pick items below, or click one in a list."));
    return;
  }
  const rows = session.map((item, place) =>
    h(
      "li",
      {},
      h("span", { class: "place" }, String(place + 1)),
      h("span", { class: "what", title: item }, nameOf(item)),
      h("button", { type: "button", class: "icon tiny", "aria-label": `Remove ${nameOf(item)}`, onclick: () => removeAt(place) }, icon("close")),
    ),
  );
  clear(parts.events, rows);
  parts.events.scrollTop = parts.events.scrollHeight;
}

async function find(cursor) {
  searched?.abort();
  searched = new AbortController();
  const { signal } = searched;
  const search = parts.search.value.trim();
  const from = typeof cursor === "string" ? cursor : undefined;
  let page;
  try {
    page = await get("/v1/items", { search, limit: 20, cursor: from, model: chosen[0] }, signal);
  } catch (error) {
    if (error.name !== "AbortError") clear(parts.found, h("li", {}, failure(error, () => find())));
    return;
  }
  page.items.forEach(keep);
  parts.foundTitle.textContent = search ? `Matches for “${search}”` : "Popular items";
  const rows = page.items.map((one) =>
    h("li", {}, h("button", { type: "button", class: "pick", onclick: () => append(one.item) }, h("span", { class: "unseen" }, "Add "), h("span", { class: "what" }, one.name ?? one.item), h("span", { class: "soft about" }, about(one)), icon("plus"))),
  );
  if (from) parts.found.lastElementChild.remove();
  else clear(parts.found);
  parts.found.append(...rows);
  if (page.cursor) parts.found.append(h("li", {}, h("button", { type: "button", class: "link more", onclick: () => find(page.cursor) }, "Show more")));
  if (!rows.length) parts.found.append(h("li", { class: "empty soft" }, "No item has this in its id or name."));
  if (search) announce(rows.length ? `${count(rows.length, "match", "matches")}${page.cursor ? " or more" : ""}` : "No matches");
}

function about(item) {
  const values = Object.entries(item.metadata ?? {}).filter(([name, value]) => value !== null && value !== item.name && name !== "support");
  const text = values.find(([, value]) => typeof value === "string" && value.length < 30)?.[1];
  return [item.name ? item.item : null, text].filter(Boolean).join(" · ");
}

function body(model) {
  return { items: session, model, k, consent: false };
}

async function ask() {
  asked?.abort();
  asked = new AbortController();
  const { signal } = asked;
  const address = new URLSearchParams();
  session.forEach((item) => address.append("item", item));
  chosen.forEach((model) => address.append("model", model));
  if (k !== 10) address.set("k", String(k));
  remember(address);
  const others = models.filter((one) => !chosen.includes(one.name));
  parts.add.hidden = chosen.length >= MAX_MODELS || !others.length;
  if (parts.columns.childElementCount !== chosen.length || parts.columns.querySelector(".skeleton")) clear(parts.columns, chosen.map(skeletonCard));
  parts.columns.style.setProperty("--columns", String(chosen.length));
  parts.columns.classList.add("waiting");
  const answers = await Promise.all(
    chosen.map(async (model) => {
      const begin = performance.now();
      try {
        const answer = await post("/v1/recommend", body(model), signal);
        answer.items.forEach(keep);
        return { model, answer, trip: performance.now() - begin };
      } catch (error) {
        return { model, error };
      }
    }),
  );
  if (signal.aborted) return;
  parts.columns.classList.remove("waiting");
  const focused = document.activeElement?.dataset?.key;
  const context = { models, chosen, answers, append, session, request: body, replace: replaceModel, remove: removeModel, retry: ask, learn, nameOf };
  clear(parts.columns, answers.map((one, place) => answerCard(one, place, context)));
  if (focused) parts.columns.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  summarise(answers);
}

function summarise(answers) {
  const lists = answers.filter((one) => one.answer).map((one) => one.answer.items.map((item) => item.item));
  if (lists.length < 2) {
    parts.summary.textContent = session.length ? "Answers for this session." : "Without a session, models list popular items.";
    return;
  }
  const all = lists[0].filter((item) => lists.every((list) => list.includes(item))).length;
  const union = new Set(lists.flat()).size;
  const who = lists.length === 2 ? "both models" : `all ${lists.length} models`;
  parts.summary.textContent = `${all} of ${Math.max(...lists.map((one) => one.length))} items are listed by ${who}, ${union} different items in all.${session.length ? "" : " Without a session, models list popular items."}`;
}

function addModel() {
  const next = models.find((one) => !chosen.includes(one.name));
  chosen = [...chosen, next.name];
  announce(`${next.name} added`);
  ask();
}

function replaceModel(place, name) {
  chosen = chosen.with(place, name);
  ask();
}

function removeModel(place) {
  chosen = chosen.toSpliced(place, 1);
  ask();
}

function skeletonCard() {
  return h("section", { class: "card answer" }, skeleton(k + 1));
}

function showCurl() {
  const access = token() ? ` \\\n  -H "authorization: Bearer $TOKEN"` : "";
  const commands = chosen.map((model) => {
    const json = JSON.stringify(body(model)).replaceAll("'", "'\\''");
    return `curl -s ${location.origin}/v1/recommend${access} \\\n  -H 'content-type: application/json' \\\n  -d '${json}'`;
  });
  const blocks = commands.map((text, place) => h("section", {}, h("div", { class: "row between" }, h("h3", {}, chosen[place]), copyButton(text, "command")), h("pre", {}, text)));
  sheet("The same with curl", h("p", { class: "soft" }, "With ", h("code", {}, "consent: false"), " the service stores nothing of the request, as for this page."), blocks);
}

// Keys: / goes to the search, arrows move along the list, Delete removes an item of the session.

function shortcut(event) {
  const typing = event.target.closest("input, select, textarea, dialog");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    parts.search.focus();
    parts.search.select();
  }
}

function fromSearch(event) {
  if (event.key === "ArrowDown") {
    event.preventDefault();
    parts.found.querySelector("button")?.focus();
  } else if (event.key === "Enter") {
    event.preventDefault();
    parts.found.querySelector(".pick")?.click();
  } else if (event.key === "Backspace" && !parts.search.value && session.length) {
    change(session.slice(0, -1), `${nameOf(session.at(-1))} removed`);
  }
}

function amongFound(event) {
  const buttons = [...parts.found.querySelectorAll("button")];
  const place = buttons.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || place < 0) return;
  event.preventDefault();
  (buttons[place + step] ?? (step < 0 ? parts.search : buttons[place])).focus();
}

function amongEvents(event) {
  if (event.key !== "Delete" && event.key !== "Backspace") return;
  const place = [...parts.events.children].indexOf(event.target.closest("li"));
  if (place >= 0 && session.length) {
    event.preventDefault();
    removeAt(place);
  }
}

function debounce(work, wait) {
  let timer = 0;
  return () => (clearTimeout(timer), (timer = setTimeout(() => work(), wait)));
}
