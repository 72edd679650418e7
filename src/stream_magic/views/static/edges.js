import { shape } from "./dom.js";

/** The edges between cards: `boxes` by name as {x, y, w, h}; each edge {from, to, text, rate, isLookup}. */
export function drawEdges(svg, edges, boxes) {
  const fans = fanOut(edges.filter((edge) => !edge.isLookup), boxes);
  const drawn = edges.map((edge) => (edge.isLookup ? lookupEdge(edge, boxes) : flowEdge(edge, boxes, fans.get(edge))));
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

const middle = (box) => box.x + box.w / 2;

function flowEdge(edge, boxes, shift) {
  const [a, b] = [boxes[edge.from], boxes[edge.to]];
  const [ax, ay, bx, by] = [middle(a) + shift, a.y + a.h, middle(b), b.y];
  const between = Object.values(boxes).filter((box) => box.y > ay && box.y + box.h < by);
  const way = between.length ? channel(between, ax, bx) : bx;
  const top = between.length ? Math.min(...between.map((box) => box.y)) : by - 6;
  const foot = between.length ? Math.max(...between.map((box) => box.y + box.h)) : top;
  const d = `M${ax} ${ay}${curve(ax, ay, way, top)}V${foot}${way === bx ? `V${by - 6}` : curve(way, foot, bx, by - 6)}`;
  const label = [(ax + way) / 2, (ay + top) / 2];
  const width = Math.min(3, 1 + Math.log10(1 + Math.max(0, edge.rate)) * 0.5);
  return edgeNodes(d, "sm-edge", width, `M${bx - 4} ${by - 8}h8l-4 7z`, edge.text, label);
}

/** Where an edge over several rows passes between the cards: nearest to its end, then to its start. */
function channel(between, ax, bx) {
  const isFree = (x) => between.every((box) => x < box.x - 8 || x > box.x + box.w + 8);
  const gaps = between.flatMap((box) => [box.x - 17, box.x + box.w + 17]);
  const near = gaps.filter(isFree).sort((p, q) => Math.abs(p - bx) + Math.abs(p - ax) - Math.abs(q - bx) - Math.abs(q - ax));
  return [bx, ax, ...near].find(isFree) ?? bx;
}

function curve(x, y, toX, toY) {
  const half = (toY - y) / 2;
  return x === toX ? `V${toY}` : `C${x} ${y + half} ${toX} ${toY - half} ${toX} ${toY}`;
}

function lookupEdge(edge, boxes) {
  const [a, b] = [boxes[edge.from], boxes[edge.to]];
  const isLeft = a.x < b.x;
  const [ax, bx] = isLeft ? [a.x + a.w, b.x - 6] : [a.x, b.x + b.w + 6];
  const [ay, by] = [a.y + a.h / 2, b.y + b.h / 2];
  const half = (bx - ax) / 2;
  const d = ay === by ? `M${ax} ${ay}H${bx}` : `M${ax} ${ay}C${ax + half} ${ay} ${bx - half} ${by} ${bx} ${by}`;
  const tip = isLeft ? `M${bx - 2} ${by - 4}l7 4l-7 4z` : `M${bx + 2} ${by - 4}l-7 4l7 4z`;
  return edgeNodes(d, "sm-edge sm-lookup", 1.5, tip, Math.abs(bx - ax) > 64 ? edge.text : "", [(ax + bx) / 2, (ay + by) / 2]);
}

function edgeNodes(d, name, width, tip, text, [x, y]) {
  const lines = [shape("path", { class: name, d, "stroke-width": width }), shape("path", { class: "sm-tip", d: tip })];
  if (!text) return { lines, labels: [] };
  const wide = text.length * 5.9 + 12;
  const pill = shape("rect", { class: "sm-pill", x: x - wide / 2, y: y - 9, width: wide, height: 18, rx: 9 });
  return { lines, labels: [pill, shape("text", { x, y: y + 4, "text-anchor": "middle" }, text)] };
}
