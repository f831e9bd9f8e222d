// The frame: which view is shown, the theme, the token.

import { askForToken, token } from "./api.js";
import { announce } from "./dom.js";

const VIEWS = {
  playground: ["Playground", () => import("./playground.js")],
  leaderboard: ["Leaderboard", () => import("./leaderboard.js")],
  run: ["Run", () => import("./run.js")],
  data: ["Data", () => import("./data.js")],
  map: ["Map", () => import("./map.js")],
  live: ["Live", () => import("./live.js")],
};

const root = document.getElementById("view");
let shown = { name: "", view: null };

function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: VIEWS[path] ? path : "playground", parameters: new URLSearchParams(query) };
}

async function show() {
  if (location.hash === "#view") return;
  const { name, parameters } = place();
  if (shown.name === name) {
    shown.view?.update?.(parameters);
    return;
  }
  shown.view?.destroy?.();
  const first = shown.name === "";
  shown = { name, view: null };
  const [title, load] = VIEWS[name];
  document.title = `${title} · segue`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === name) {
      link.setAttribute("aria-current", "page");
      // scrollIntoView would make this the place from which Tab goes on.
      link.parentElement.scrollLeft = link.offsetLeft - link.parentElement.offsetLeft - 40;
    } else link.removeAttribute("aria-current");
  }
  const module = await load();
  if (shown.name !== name) return;
  root.replaceChildren();
  root.className = `view-${name}`;
  window.scrollTo(0, 0);
  shown.view = module.mount(root, parameters);
  if (!first) {
    announce(title);
    root.focus({ preventScroll: true });
  }
}

const THEMES = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme-button");

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const label = `Theme: ${theme === "auto" ? "as the system" : theme}`;
  themeButton.setAttribute("aria-label", label);
  themeButton.title = label;
  dispatchEvent(new Event("segue-theme"));
}

themeButton.addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? "auto";
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  try {
    localStorage.setItem("segue-theme", next);
  } catch {
    // It holds until the page is left.
  }
  setTheme(next);
  announce(themeButton.title);
});
setTheme(document.documentElement.dataset.theme ?? "auto");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("segue-theme")));

const tokenButton = document.getElementById("token-button");
tokenButton.hidden = token() === "";
tokenButton.addEventListener("click", async () => (await askForToken()) && location.reload());

addEventListener("hashchange", show);
show();
