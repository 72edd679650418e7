import { shape } from "./dom.js";

const PATHS = {
  pause: ["M5.5 3.5v9M10.5 3.5v9"],
  play: ["M5 3.2v9.6L12.5 8z"],
  step: ["M4 3.2v9.6L10 8zM12 3.5v9"],
  csv: ["M8 2v7.5M5 6.7 8 9.5l3-2.8M3 13.5h10"],
  up: ["m4 10 4-4 4 4"],
  clock: ["M2.2 8a5.8 5.8 0 1 0 11.6 0a5.8 5.8 0 1 0-11.6 0", "M8 4.8V8l2.2 1.6"],
  refresh: ["M13 8a5 5 0 1 1-1.6-3.7M13 2.5v2.8h-2.8"],
  error: ["M2 8a6 6 0 1 0 12 0a6 6 0 1 0-12 0", "M8 4.8v3.8M8 11h.01"],
  info: ["M2 8a6 6 0 1 0 12 0a6 6 0 1 0-12 0", "M8 7.4v3.8M8 5h.01"],
  source: ["M3 4a5 2 0 1 0 10 0a5 2 0 1 0-10 0", "M3 4v8c0 1.1 2.2 2 5 2s5-.9 5-2V4M3 8c0 1.1 2.2 2 5 2s5-.9 5-2"],
  file: ["M4 2h5l3 3v9H4zM9 2v3h3M6 8h4M6 11h4"],
  stream: ["M2 3h12l-4.6 5.4V13l-2.8-1.5V8.4z"],
  table: ["M2.5 3h11v10h-11zM2.5 6.4h11M2.5 9.7h11"],
  window: ["M3 3v10M13 3v10M5.5 13V9M8 13V5M10.5 13V7"],
  join: ["M2 8a4 4 0 1 0 8 0a4 4 0 1 0-8 0M6 8a4 4 0 1 0 8 0a4 4 0 1 0-8 0"],
  cache: ["M4.5 2.5h7a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-7a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2z", "M8.8 4.5 6 8.6h2L7.2 11.5 10 7.4H8z"],
  target: ["M8 2v8M5 7.2 8 10l3-2.8M2.5 10v3.5h11V10"],
};

/** A 16-unit line icon in the colour of the text. */
export function icon(name, size = 15) {
  const lines = { fill: "none", stroke: "currentColor", "stroke-width": 1.35, "stroke-linecap": "round", "stroke-linejoin": "round" };
  const paths = PATHS[name].map((d) => shape("path", { d }));
  return shape("svg", { width: size, height: size, viewBox: "0 0 16 16", "aria-hidden": "true", ...lines }, ...paths);
}

const RING = "M1.7 5a3.3 3.3 0 1 0 6.6 0a3.3 3.3 0 1 0-6.6 0";
const MARKS = {
  running: { d: "M1 5a4 4 0 1 0 8 0a4 4 0 1 0-8 0", fill: "var(--sm-ok)" },
  waiting: { d: RING, stroke: "var(--sm-ink-3)", "stroke-width": 1.5 },
  paused: { d: "M3 1.5v7M7 1.5v7", stroke: "var(--sm-ink-2)", "stroke-width": 2 },
  stopped: { d: "M5 .3 10 9.6H0z", fill: "var(--sm-ink-3)" },
  failed: { d: "M5 .3 10 9.6H0z", fill: "var(--sm-err)" },
  reconnecting: { d: "M8.6 5A3.6 3.6 0 1 1 5 1.4", stroke: "var(--sm-warn)", "stroke-width": 2, "stroke-linecap": "round", class: "sm-spin" },
  stale: { d: RING, stroke: "var(--sm-ink-3)", "stroke-width": 1.5, "stroke-dasharray": "2 1.8" },
  complete: { d: "m1.5 5.3 2.4 2.4L8.6 2.4", stroke: "var(--sm-ink-2)", "stroke-width": 1.7 },
};

/** The 10 px mark of a state: shape and colour, and the word for those who cannot see it. */
export function stateMark(state, word, tooltip = word) {
  const path = shape("path", { fill: "none", ...MARKS[state] });
  const title = shape("title", {}, tooltip);
  return shape("svg", { width: 10, height: 10, viewBox: "0 0 10 10", role: "img", "aria-label": word, "data-state": state }, title, path);
}
