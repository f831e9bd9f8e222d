// Elements, numbers and the states that every view has. Texts become text nodes: nothing is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

const PATHS = {
  plus: "M10 4v12M4 10h12",
  close: "M5 5l10 10M15 5 5 15",
  search: "M9 15A6 6 0 1 0 9 3a6 6 0 0 0 0 12zM13.5 13.5 17 17",
  link: "M8 12a3.5 3.5 0 0 0 5 0l2.5-2.5a3.5 3.5 0 0 0-5-5L9.5 5.5M12 8a3.5 3.5 0 0 0-5 0L4.5 10.5a3.5 3.5 0 0 0 5 5l1-1",
  code: "M7 6l-4 4 4 4M13 6l4 4-4 4",
  copy: "M7 7h9v9H7zM4 13V4h9",
  lasso: "M10 4c4 0 7 2 7 4.5S14 13 10 13s-7-2-7-4.5S6 4 10 4zM6 12.5c-1 1.5 0 3 1.5 3.5",
  fit: "M4 8V4h4M12 4h4v4M16 12v4h-4M8 16H4v-4",
};

export function icon(name) {
  return s("svg", { viewBox: "0 0 20 20", width: 16, height: 16, "aria-hidden": "true", class: "glyph" }, s("path", { d: PATHS[name] }));
}

export function clear(element, ...children) {
  element.replaceChildren();
  return fill(element, {}, children);
}

export function whole(value) {
  return value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en-US");
}

export function number(value, decimals = 4) {
  return typeof value === "number" && Number.isFinite(value) ? value.toFixed(decimals) : "–";
}

export function short(value, digits = 3) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(digits)));
}

export function milliseconds(value) {
  if (typeof value !== "number") return "–";
  return value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ms`;
}

export function percent(value, digits = 1) {
  return typeof value === "number" && Number.isFinite(value) ? `${(100 * value).toFixed(digits)}%` : "–";
}

export function count(amount, noun, plural = `${noun}s`) {
  return `${whole(amount)} ${amount === 1 ? noun : plural}`;
}

// What stands in a view that has nothing to show.
export function state(title, text, ...more) {
  return h("div", { class: "state" }, h("h2", {}, title), text && h("p", { class: "soft" }, text), ...more);
}

export function failure(error, again) {
  const retry = again && h("button", { type: "button", class: "button", onclick: again }, "Try again");
  return h("div", { class: "state", role: "alert" }, h("h2", {}, "This did not work"), h("p", { class: "soft" }, error.message), retry);
}

export function skeleton(rows = 6, name = "") {
  return h("div", { class: `skeleton ${name}`, "aria-hidden": "true" }, Array.from({ length: rows }, () => h("div", { class: "bone" })));
}

export function heading(title, ...rest) {
  return h("div", { class: "heading" }, h("h1", {}, title), h("div", { class: "row wrap" }, rest));
}

export function card(title, note, ...content) {
  const head = title && h("div", { class: "card-head" }, h("h2", {}, title), note && h("p", { class: "soft" }, note));
  return h("section", { class: "card" }, head, content);
}

export function badge(text, kind = "", title) {
  return h("span", { class: `badge ${kind}`, title }, text);
}

let timer = 0;

export function toast(text) {
  const element = document.getElementById("toast");
  element.textContent = text;
  element.classList.add("shown");
  announce(text);
  clearTimeout(timer);
  timer = setTimeout(() => element.classList.remove("shown"), 1800);
}

export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {
    toast("The browser does not allow copying here");
  }
}

export function copyButton(text, what) {
  return h("button", { type: "button", class: "icon", "aria-label": `Copy ${what}`, title: `Copy ${what}`, onclick: () => copy(typeof text === "function" ? text() : text, what) }, icon("copy"));
}

// A modal sheet that is closed by Escape, its button, or a click beside it.
export function sheet(title, ...content) {
  const close = h("button", { type: "button", class: "icon", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  const dialog = h("dialog", { class: "sheet", "aria-label": title }, h("div", { class: "sheet-head" }, h("h2", {}, title), close), h("div", { class: "sheet-body", tabindex: "0", role: "region", "aria-label": title }, content));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
