"use strict";
// Ids, names and metadata come from a log: they reach the page as text nodes only.
const content = JSON.parse(document.getElementById("content").textContent);
const byId = (id) => document.getElementById(id);
const element = (kind, text, className) => {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};

const items = content.items;
let view = null;
let shown = Math.floor(content.maps.length / 2);
let chosen = content.chosen;

const rowsOf = (indices) =>
  indices.filter((index) => index >= 0).map((index) => ({
    x: content.maps[shown].x[index], y: content.maps[shown].y[index], name: items.names[index],
  }));

function markChosen() {
  if (!view || !items) return;
  const near = chosen < 0 ? [] : items.neighbours[chosen];
  view.data("near", rowsOf(near)).data("chosen", rowsOf([chosen])).runAsync();
}

function listButton(index, number, first) {
  const line = element("li");
  const button = element("button", undefined, first ? "first" : "");
  button.append(element("span", items.names[index]), element("span", number, "number"));
  button.addEventListener("click", () => choose(index));
  line.append(button);
  return line;
}

function choose(index) {
  chosen = index;
  byId("matches").replaceChildren();
  const facts = element("dl");
  for (const [name, values] of items.columns) {
    if (values[index] === null) continue;
    facts.append(element("dt", name), element("dd", String(values[index])));
  }
  const nearest = element("ol");
  items.neighbours[index].forEach((near, place) =>
    nearest.append(listButton(near, items.similarities[index][place].toFixed(2), false)));
  byId("chosen").replaceChildren(
    element("h2", items.names[index]), facts, element("h3", `Nearest items, by ${content.similarity}`), nearest);
  markChosen();
}

function matches(text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  const found = [];
  for (let index = 0; index < items.names.length && found.length < 200; index += 1) {
    const at = items.search[index].indexOf(wanted);
    if (at >= 0) found.push([at === 0 ? 0 : 1, index]);
  }
  return found.sort((one, other) => one[0] - other[0] || one[1] - other[1]).slice(0, 8).map((pair) => pair[1]);
}

function search(event) {
  const found = matches(event.target.value);
  byId("matches").replaceChildren(
    ...found.map((index, place) => listButton(index, items.ids[index], place === 0)));
  if (event.target.value.trim() && !found.length) {
    byId("matches").replaceChildren(element("li", "No item has this in its name or id."));
  }
}

// Both axes have the same unit, so that distances are what they are.
function squareAround(drawn) {
  const spans = [drawn.x, drawn.y].map((values) => values.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]));
  const half = 0.53 * Math.max(...spans.map(([low, high]) => high - low)) || 1;
  return spans.map(([low, high]) => [(low + high) / 2 - half, (low + high) / 2 + half]);
}

function specification() {
  const spec = structuredClone(content.spec);
  const room = byId("map").parentElement.clientWidth;
  if (content.maps.length) {
    const side = Math.max(260, Math.min(room - 70, window.innerHeight - 230, 760));
    Object.assign(spec, { width: side, height: side });
    const drawn = content.maps[shown];
    const points = spec.layer[0];
    points.mark.size = Math.max(8, Math.min(60, 30000 / drawn.x.length));
    [points.encoding.x.scale.domain, points.encoding.y.scale.domain] = squareAround(drawn);
    spec.datasets = {
      points: drawn.x.map((x, index) => ({
        i: index, x, y: drawn.y[index], value: content.values[index], name: items.names[index], id: items.ids[index],
        ...Object.fromEntries(items.columns.map(([name, values], column) => [`c${column}`, values[index]])),
      })),
    };
  }
  return spec;
}

async function draw() {
  if (view) view.finalize();
  const result = await vegaEmbed("#map", specification(), { mode: "vega-lite", renderer: "canvas", actions: false });
  view = result.view;
  view.addEventListener("click", (event, mark) => {
    if (mark && mark.datum && mark.datum.i !== undefined) choose(mark.datum.i);
  });
  markChosen();
  document.body.dataset.ready = "yes";
}

content.maps.forEach((one, index) => {
  if (content.maps.length < 2) return;
  const button = element("button", one.title);
  button.setAttribute("aria-pressed", String(index === shown));
  button.addEventListener("click", () => {
    shown = index;
    [...byId("views").children].forEach((other, place) => other.setAttribute("aria-pressed", String(place === shown)));
    draw();
  });
  byId("views").append(button);
});

if (items) {
  items.search = items.names.map((name, index) => `${name} ${items.ids[index]}`.toLowerCase());
  byId("side").hidden = false;
  byId("search").addEventListener("input", search);
  byId("search").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const found = matches(event.target.value);
    if (found.length) choose(found[0]);
  });
  if (chosen >= 0) choose(chosen);
  else byId("chosen").append(element("p", "Search, or click on an item, to see its nearest items.", "hint"));
}
let waiting = 0;
window.addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(draw, 200);
});
draw();
