import { shape } from "./dom.js";
import { lookupWay } from "./lookup_edge.js";
import { channel, standingBetween } from "./ways.js";

/** The edges between cards that are `gap` apart: `boxes` by name as {x, y, w, h}; each edge {from, to, text, rate, isLookup}. */
export function drawEdges(svg, edges, boxes, gap) {
  const fans = fanOut(edges.filter((edge) => !edge.isLookup), boxes);
  const entries = fanIn(edges.filter((edge) => edge.isLookup), gap);
  const drawn = edges.map((edge) => (edge.isLookup ? lookupEdge(edge, boxes, entries.get(edge), gap) : flowEdge(edge, boxes, fans.get(edge), gap)));
  svg.replaceChildren(...drawn.flatMap((d) => d.lines), ...drawn.flatMap((d) => d.labels));
}

/** Where on the foot of a card each of its edges begins, so that they do not lie on each other. */
function fanOut(edges, boxes) {
  const starts = new Map();
  const bySource = new Map();
  edges.forEach((edge) => bySource.set(edge.from, [...(bySource.get(edge.from) ?? []), edge]));
  for (const group of bySource.values()) {
    const ways = group.map((edge) => Math.sign(Math.round(middle(boxes[edge.to]) - middle(boxes[edge.from]))));
    group.forEach((edge, i) => starts.set(edge, ways[i] * Math.min(40, boxes[edge.from].w / 4)));
  }
  return starts;
}

/** How far down the side of a card each of its lookups ends, and how far the ways of its cache lie beside those of others. */
function fanIn(edges, gap) {
  const entries = new Map();
  const caches = [...new Set(edges.map((edge) => edge.from))];
  for (const edge of edges) {
    const group = edges.filter((other) => other.to === edge.to);
    const lane = caches.length > 1 ? (caches.indexOf(edge.from) % 3) - 1 : 0;
    entries.set(edge, { at: (group.indexOf(edge) + 1) / (group.length + 1), shift: (lane * gap) / 8 });
  }
  return entries;
}

const middle = (box) => box.x + box.w / 2;

function flowEdge(edge, boxes, shift, gap) {
  const [a, b] = [boxes[edge.from], boxes[edge.to]];
  const [ax, ay, bx, by] = [middle(a) + shift, a.y + a.h, middle(b), b.y];
  const between = standingBetween(boxes, ay, by);
  const way = between.length ? channel(between, ax, bx, gap) : bx;
  const top = between.length ? Math.min(...between.map((box) => box.y)) : by - 6;
  const foot = between.length ? Math.max(...between.map((box) => box.y + box.h)) : top;
  const d = `M${ax} ${ay}${curve(ax, ay, way, top)}V${foot}${way === bx ? `V${by - 6}` : curve(way, foot, bx, by - 6)}`;
  const label = [(ax + way) / 2, (ay + top) / 2];
  const width = Math.min(3, 1 + Math.log10(1 + Math.max(0, edge.rate)) * 0.5);
  return edgeNodes(d, "sm-edge", width, `M${bx - 4} ${by - 8}h8l-4 7z`, edge.text, label);
}

function curve(x, y, toX, toY) {
  const half = (toY - y) / 2;
  return x === toX ? `V${toY}` : `C${x} ${y + half} ${toX} ${toY - half} ${toX} ${toY}`;
}

function lookupEdge(edge, boxes, { at, shift }, gap) {
  const b = boxes[edge.to];
  const way = lookupWay(boxes[edge.from], b, b.y + b.h * at, boxes, gap, shift);
  return edgeNodes(way.d, "sm-edge sm-lookup", 1.5, way.tip, way.room > 64 ? edge.text : "", way.label);
}

function edgeNodes(d, name, width, tip, text, [x, y]) {
  const lines = [shape("path", { class: name, d, "stroke-width": width }), shape("path", { class: "sm-tip", d: tip })];
  if (!text) return { lines, labels: [] };
  const wide = text.length * 5.9 + 12;
  const pill = shape("rect", { class: "sm-pill", x: x - wide / 2, y: y - 9, width: wide, height: 18, rx: 9 });
  return { lines, labels: [pill, shape("text", { x, y: y + 4, "text-anchor": "middle" }, text)] };
}
