// The items of a model on a plane: colours, search, lasso, neighbours, and a table beside it.

import { bytes, get } from "./api.js";
import { remember } from "./address.js";
import { announce, clear, count, failure, h, heading, icon, number, percent, short, skeleton, state, whole } from "./dom.js";
import { itemHead, overview } from "./map-panel.js";
import { GREY, HUES, OTHER, paletteOf, rgb } from "./palette.js";
import { scatter } from "./scatter.js";

const LISTED = 200;

export function mount(root, parameters) {
  let [models, about, column, plot, codes] = [[], null, null, null, null];
  let [chosen, near, hovered, lasso, ink] = [-1, [], -1, false, ""];
  const cache = new Map();
  const loading = new AbortController();
  const canvas = h("canvas", { class: "points", "aria-hidden": "true" });
  const overlay = h("canvas", { class: "overlay", tabindex: "0", role: "img", "aria-label": "Map of items. Arrow keys move, plus and minus zoom, 0 shows all. Search finds items." });
  const tip = h("div", { class: "map-tip", hidden: true });
  const legend = h("div", { class: "legend map-legend" });
  const panel = h("aside", { class: "card map-panel", "aria-label": "Items" });
  const modelSelect = h("select", { "aria-label": "Model", onchange: (event) => open(event.target.value) });
  const colourSelect = h("select", { "aria-label": "Colour", onchange: (event) => recolour(event.target.value) });
  const search = h("input", { type: "search", placeholder: "Search items", autocomplete: "off", spellcheck: "false", "aria-label": "Search items" });
  const lassoButton = h("button", { type: "button", class: "button", "aria-pressed": "false", title: "Draw around items; or hold Shift", onclick: () => setLasso(!lasso) }, icon("lasso"), "Lasso");
  const fitButton = h("button", { type: "button", class: "button", onclick: () => plot?.fit() }, icon("fit"), "All");
  const stage = h("div", { class: "stage" }, canvas, overlay, tip);
  const body = h("div", { class: "map" }, h("section", { class: "card map-card" }, h("div", { class: "map-bar" }, h("div", { class: "search" }, icon("search"), search), lassoButton, fitButton), stage, legend), panel);
  clear(root, heading("Map", h("label", { class: "row soft" }, "Model ", modelSelect), h("label", { class: "row soft" }, "Colour ", colourSelect)), body);
  clear(panel, skeleton(6));
  const repaint = () => plot && column && paint();
  addEventListener("segue-theme", repaint);
  let typing = 0;
  search.addEventListener("input", () => (clearTimeout(typing), (typing = setTimeout(find, 150))));
  search.addEventListener("keydown", (event) => event.key === "ArrowDown" && (event.preventDefault(), panel.querySelector(".pick")?.focus()));
  panel.addEventListener("keydown", alongList);
  begin();

  async function begin() {
    try {
      models = (await get("/v1/models", {}, loading.signal)).models;
    } catch (error) {
      return fail(error, begin);
    }
    clear(modelSelect, models.map((one) => h("option", { value: one.name }, one.name)));
    const wanted = models.find((one) => one.name === parameters.get("model"));
    open((wanted ?? models.find((one) => one.default)).name, !wanted);
  }

  function fail(error, again) {
    if (error.name !== "AbortError") clear(panel, failure(error, again));
  }

  // Where no model was chosen, one without vectors gives way to the next one.
  async function open(name, anyModel = false) {
    modelSelect.value = name;
    plot?.destroy();
    [plot, codes, chosen, near] = [null, null, -1, []];
    cache.clear();
    clear(legend);
    clear(panel, skeleton(6));
    stage.classList.add("waiting");
    try {
      about = await get("/page/map.json", { model: name }, loading.signal);
      const tried = models.findIndex((one) => one.name === name);
      const others = models.filter((one, number) => anyModel && !one.default && (models[tried].default || number > tried));
      if (about.problem && others.length) return open(others[0].name, true);
      body.classList.toggle("without", Boolean(about.problem));
      if (about.problem) return nothing(name);
      const values = new Float32Array(await bytes("/page/map.bin", { model: name }, loading.signal));
      const [xs, ys] = [values.subarray(0, about.items), values.subarray(about.items)];
      if (modelSelect.value !== name) return;
      renewCanvas();
      plot = scatter(stage.firstChild, overlay, xs, ys, { hover, pick, lasso: select, draw });
      const wanted = parameters.get("color") ?? about.columns.find((one) => one.categories)?.name;
      clear(colourSelect, about.columns.map((one) => h("option", { value: one.name }, one.name)));
      await recolour(about.columns.some((one) => one.name === wanted) ? wanted : about.columns[0].name);
      colourSelect.disabled = false;
      stage.classList.remove("waiting");
      const item = parameters.get("item");
      const found = item && (await get("/page/items.json", { model: name, search: item })).items.find((one) => one.item === item);
      if (found) choose(found.row);
      else hint();
    } catch (error) {
      fail(error, () => open(name));
    }
  }

  // A canvas whose context was given back takes no other.
  function renewCanvas() {
    stage.replaceChild(h("canvas", { class: "points", "aria-hidden": "true" }), stage.firstChild);
  }

  function nothing(name) {
    clear(colourSelect, h("option", {}, "–"));
    colourSelect.disabled = true;
    clear(panel, state(`${name} has no item vectors`, "It compares sessions or counts items, so there is no plane to put them on. Networks and factorisations have one: choose such a model above."));
  }

  async function recolour(name) {
    codes = new Uint8Array(await bytes("/page/colours.bin", { model: about.model, column: name }, loading.signal));
    column = about.columns.find((one) => one.name === name);
    colourSelect.value = name;
    paint();
    showLegend();
    note();
  }

  function paint() {
    ink = `rgb(${rgb("--ink").join(" ")})`;
    plot.paint(codes, paletteOf(column), ink);
  }

  function note() {
    const given = new URLSearchParams({ model: about.model, color: column.name });
    if (chosen >= 0 && cache.has(chosen)) given.set("item", cache.get(chosen).item);
    remember(given);
  }

  function showLegend() {
    const { categories, low, high, title } = column;
    if (!categories) {
      clear(legend, h("span", { class: "entry" }, title, h("b", {}, short(low)), h("span", { class: "ramp" }), h("b", {}, short(high))));
      return;
    }
    const tone = (code) => `var(${code >= OTHER ? GREY : HUES[code % HUES.length]})`;
    const entries = categories.map((one) =>
      h("button", { type: "button", class: "entry pickable", title: `${count(one.items, "item")}: list them`, onclick: () => select([...codes.keys()].filter((row) => codes[row] === one.code), one.name) }, h("span", { class: one.code >= HUES.length && one.code < OTHER ? "key ring" : "key", style: { "--tone": tone(one.code), background: tone(one.code) } }), one.name),
    );
    clear(legend, entries);
  }

  async function described(rows) {
    const missing = rows.filter((row) => !cache.has(row));
    if (missing.length) (await get("/page/items.json", { model: about.model, rows: missing.join(",") }, loading.signal)).items.forEach((one) => cache.set(one.row, one));
    return rows.map((row) => cache.get(row));
  }

  async function hover(row) {
    hovered = row;
    plot.redraw();
    overlay.style.cursor = lasso ? "crosshair" : row >= 0 ? "pointer" : "";
    tip.hidden = row < 0;
    if (row < 0) return;
    tip.textContent = cache.get(row)?.name ?? cache.get(row)?.item ?? "…";
    place();
    await new Promise((resolve) => setTimeout(resolve, cache.has(row) ? 0 : 40));
    if (hovered !== row) return;
    const [one] = await described([row]);
    if (hovered !== row) return;
    tip.textContent = one.name ?? one.item;
    place();
  }

  function place() {
    const [x, y] = plot.screen(hovered);
    tip.style.left = `${Math.min(Math.max(x, 70), overlay.clientWidth - 70)}px`;
    tip.style.top = `${Math.max(y - 14, 30)}px`;
  }

  function draw(pen, screen, radius) {
    pen.strokeStyle = pen.fillStyle = ink;
    const ring = (row, width, more) => {
      const [x, y] = screen(row);
      pen.lineWidth = width;
      pen.beginPath();
      pen.arc(x, y, radius + more, 0, 7);
      pen.stroke();
    };
    if (chosen >= 0) {
      const [x, y] = screen(chosen);
      pen.globalAlpha = 0.28;
      pen.lineWidth = 1;
      for (const row of near) {
        pen.beginPath();
        pen.moveTo(x, y);
        pen.lineTo(...screen(row));
        pen.stroke();
      }
      pen.globalAlpha = 1;
      ring(chosen, 2.5, 4);
    }
    if (hovered >= 0) ring(hovered, 1.5, 3);
  }

  function pick(row) {
    if (row >= 0) choose(row);
    else {
      [chosen, near] = [-1, []];
      plot.mark([]);
      hint();
      note();
    }
  }

  async function choose(row) {
    try {
      const found = await get("/page/neighbours.json", { model: about.model, row }, loading.signal);
      for (const one of [found.item, ...found.neighbours]) cache.set(one.row, one);
      [chosen, near] = [row, found.neighbours.map((one) => one.row)];
      plot.mark([row, ...near]);
      showItem(found);
      note();
    } catch (error) {
      fail(error, () => choose(row));
    }
  }

  function showItem({ item, neighbours }) {
    clear(
      panel,
      itemHead(item, () => plot.show([chosen, ...near])),
      h("h3", { class: "spaced" }, "Nearest items"),
      h("p", { class: "soft small" }, "By cosine in all dimensions, which a plane cannot show."),
      list(neighbours, (one) => h("span", { class: "near" }, h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { width: percent(Math.max(0, one.similarity)) } })), number(one.similarity, 2))),
    );
    announce(`${item.name ?? item.item}, ${count(neighbours.length, "neighbour")}`);
  }

  function list(items, figure) {
    return h("ul", { class: "found" }, items.map((one) => h("li", {}, h("button", { type: "button", class: "pick lined", onclick: () => choose(one.row), onpointerenter: () => light(one.row), onpointerleave: () => light(-1), onfocus: () => light(one.row), onblur: () => light(-1) }, h("span", { class: "what" }, one.name ?? one.item), h("span", { class: "soft figure" }, figure(one))))));
  }

  function light(row) {
    hovered = row;
    plot?.redraw();
  }

  async function select(rows, title = "Selection") {
    [chosen, near] = [-1, []];
    setLasso(false);
    plot.mark(rows);
    if (!rows.length) return hint();
    const shown = [...rows].sort((one, other) => other - one).slice(0, LISTED);
    clear(panel, h("h2", {}, title), skeleton(8));
    try {
      const items = await described(shown);
      const more = rows.length > shown.length ? ` The ${LISTED} most popular are listed.` : "";
      clear(
        panel,
        h("div", { class: "card-head row between" }, h("h2", {}, title), h("button", { type: "button", class: "link", onclick: () => pick(-1) }, "Clear")),
        h("p", { class: "soft" }, `${count(rows.length, "item")}, most popular first.${more}`),
        h("div", { class: "list-head soft" }, h("span", {}, "item"), h("span", {}, "training events")),
        list(items, (one) => whole(one.support)),
      );
      announce(`${count(rows.length, "item")} selected`);
    } catch (error) {
      fail(error, () => select(rows, title));
    }
  }

  async function find() {
    const text = search.value.trim();
    if (!text || !plot) return plot && pick(-1);
    try {
      const { items } = await get("/page/items.json", { model: about.model, search: text }, loading.signal);
      items.forEach((one) => cache.set(one.row, one));
      [chosen, near] = [-1, []];
      plot.mark(items.map((one) => one.row));
      clear(panel, h("div", { class: "card-head" }, h("h2", {}, `“${text}”`), h("p", { class: "soft" }, items.length ? `${count(items.length, "match", "matches")}${items.length === 20 ? ", the most popular" : ""}` : "No item has this in its id or name.")), list(items, (one) => whole(one.support)));
      announce(count(items.length, "match", "matches"));
    } catch (error) {
      fail(error, find);
    }
  }

  function hint() {
    clear(panel, overview(about));
  }

  function setLasso(on) {
    lasso = on;
    if (plot) plot.lassoing = on;
    overlay.style.cursor = on ? "crosshair" : "";
    lassoButton.setAttribute("aria-pressed", String(on));
  }

  function alongList(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const buttons = [...panel.querySelectorAll(".pick")];
    const here = buttons.indexOf(document.activeElement);
    if (!step || here < 0) return;
    event.preventDefault();
    (buttons[here + step] ?? (step < 0 ? search : buttons[here])).focus();
  }

  return {
    destroy() {
      loading.abort();
      removeEventListener("segue-theme", repaint);
      plot?.destroy();
    },
  };
}
