import { shape } from "./dom.js";

/** A line of the last values with its area and a dot at the end. */
export function sparkline(values, width, height, colour = "var(--sm-ink-3)") {
  const high = Math.max(...values);
  const low = Math.min(...values, high * 0.6);
  const y = values.map((v) => height - 1.5 - ((v - low) / (high - low || 1)) * (height - 4));
  const x = values.map((_, i) => 1 + (i / Math.max(1, values.length - 1)) * (width - 4));
  const line = x.map((at, i) => `${i ? "L" : "M"}${at.toFixed(1)} ${y[i].toFixed(1)}`).join("");
  const last = values.length - 1;
  return shape("svg", { width, height, "aria-hidden": "true" },
    shape("path", { d: `${line}L${x[last]} ${height}L1 ${height}Z`, fill: colour, opacity: 0.14 }),
    shape("path", { d: line, fill: "none", stroke: colour, "stroke-width": 1.2, "stroke-linejoin": "round" }),
    shape("circle", { cx: x[last], cy: y[last], r: 1.6, fill: colour }));
}
