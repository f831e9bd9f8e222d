// The colours of items on the map: seven hues, as discs and then as rings, or a ramp of one hue.

import { h } from "./dom.js";

export const OTHER = 254;
export const HUES = ["--m0", "--m1", "--m2", "--m3", "--m4", "--m5", "--m6"];
export const GREY = "--m7";
const RAMP = ["--ramp-0", "--ramp-1", "--ramp-2"];
const LEVELS = 253;

export function rgb(name) {
  const probe = h("span", { style: { color: `var(${name})` } });
  document.body.append(probe);
  const found = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
  probe.remove();
  return found;
}

export function paletteOf(column) {
  const palette = new Uint8Array(1024);
  const set = (code, tone, alpha = 255) => palette.set([...tone, alpha], 4 * code);
  const grey = rgb(GREY);
  set(OTHER, grey);
  set(255, grey);
  if (column.categories) HUES.map(rgb).forEach((tone, hue) => (set(hue, tone), set(hue + HUES.length, tone, 128)));
  else {
    const stops = RAMP.map(rgb);
    for (let level = 0; level < LEVELS; level++) {
      const place = (2 * level) / (LEVELS - 1);
      const [from, share] = place < 1 ? [0, place] : [1, place - 1];
      set(level, stops[from].map((value, part) => Math.round(value + share * (stops[from + 1][part] - value))));
    }
  }
  return palette;
}
