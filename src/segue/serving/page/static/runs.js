// The runs that the served models come from; three views read them.

import { get } from "./api.js";
import { remember } from "./address.js";
import { clear, failure, h, heading, skeleton, state } from "./dom.js";

let loaded = null;

async function load() {
  loaded ??= get("/page/runs.json").catch((error) => {
    loaded = null;
    throw error;
  });
  return loaded;
}

// Show a view of one run, or what there is instead of one.
export async function showRun(root, title, parameters, draw) {
  clear(root, heading(title), h("div", { class: "stack" }, h("div", { class: "card" }, skeleton(8)), h("div", { class: "card" }, skeleton(5))));
  let found;
  try {
    found = await load();
  } catch (error) {
    clear(root, heading(title), h("div", { class: "card" }, failure(error, () => showRun(root, title, parameters, draw))));
    return;
  }
  const { runs, alone } = found;
  if (!runs.length) {
    const what = alone.length === 1 ? `${alone[0]} was` : `${alone.join(", ")} were`;
    clear(root, heading(title), h("div", { class: "card" }, state("No run is served", `${what} served as a single model. Results are in the folder of a run: serve it to see them here.`, h("p", {}, h("code", {}, "segue serve runs/first")))));
    return;
  }
  const run = runs.find((one) => one.folder === parameters.get("run")) ?? runs[0];
  const select =
    runs.length > 1 &&
    h(
      "select",
      { "aria-label": "Run", onchange: (event) => (remember(new URLSearchParams({ run: event.target.value })), showRun(root, title, new URLSearchParams({ run: event.target.value }), draw)) },
      runs.map((one) => h("option", { value: one.folder, selected: one === run }, one.folder)),
    );
  if (run.problem) {
    clear(root, heading(title, select), h("div", { class: "card" }, state("The results of this run cannot be read", run.problem)));
    return;
  }
  clear(root, heading(title, select));
  draw(run);
}
