// What stands beside the map: what is on it, and the facts of an item.

import { count, h, percent, whole } from "./dom.js";

export function overview(about) {
  const [first, second] = about.shares;
  const size = about.items < about.total ? `the most popular of ${whole(about.total)}` : `all that ${about.model} was trained on`;
  const hints = ["Point at an item to see its name, click it to see its neighbours.", "Scroll to zoom, drag to move, double-click to see all.", "With the lasso, or with Shift held, draw around items to list them."];
  return [
    h("div", { class: "card-head" }, h("h2", {}, count(about.items, "item")), h("p", { class: "soft" }, size), about.vectors_of && h("p", { class: "soft" }, `${about.model} is made of several models: these are the vectors of ${about.vectors_of}.`)),
    h("ul", { class: "hints soft" }, hints.map((text) => h("li", {}, text))),
    h("h3", { class: "spaced" }, "How to read it"),
    h("p", { class: "soft" }, `The plane is that of the first two principal components of the vectors at length 1, which hold ${percent(first)} and ${percent(second)} of the variance. Items that lie together here may be far apart in the other dimensions; the list of neighbours knows all of them.`),
  ];
}

export function itemHead(item, zoomIn) {
  const facts = Object.entries(item.metadata).filter(([name, value]) => value !== null && value !== item.name && name !== "support");
  const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  return [
    h("div", { class: "card-head" }, h("h2", {}, item.name ?? item.item), h("p", { class: "soft" }, `id ${item.item}`)),
    h("dl", { class: "pair-list" }, fact("training events", whole(item.support)), facts.map(([name, value]) => fact(name, String(value)))),
    h("p", { class: "row wrap" }, h("a", { class: "button", href: `#/playground?item=${encodeURIComponent(item.item)}` }, "Try in the playground"), h("button", { type: "button", class: "button", onclick: zoomIn }, "Zoom in")),
  ];
}
