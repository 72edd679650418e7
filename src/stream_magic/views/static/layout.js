import { layersOf } from "./layers.js";

const SWEEPS = 8;

/**
 * Places of nodes: row and column, in units of a card. What stood before keeps its column,
 * so that nothing jumps when a node is added; a first layout orders the rows by barycentre.
 */
export function layout(nodes, before = new Map()) {
  const rows = layersOf(nodes);
  const kept = new Map(nodes.filter((n) => before.get(n.name)?.row === rows.get(n.name)).map((n) => [n.name, before.get(n.name)]));
  const places = kept.size * 2 >= nodes.length ? kept : firstLayout(nodes, rows);
  for (const node of nodes) {
    if (!places.has(node.name)) places.set(node.name, { row: rows.get(node.name), column: freeColumn(node, nodes, rows, places) });
  }
  return places;
}

/** Rows ordered by the mean of their neighbours, then columns relaxed; edges over several rows hold their way free. */
function firstLayout(nodes, rows) {
  const flowing = nodes.filter((node) => node.kind !== "cache");
  const { lines, links } = threads(flowing, rows);
  const columns = new Map();
  for (const line of lines) line.forEach((item, i) => columns.set(item, i));
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const order = sweep % 2 ? [...lines].reverse() : lines;
    for (const line of order) relax(line, columns, (item) => mean(neighbours(links, item, sweep % 2 ? 1 : -1), columns));
  }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const line of lines) relax(line, columns, (item) => mean([...neighbours(links, item, -1), ...neighbours(links, item, 1)], columns));
  }
  return new Map(flowing.map((node) => [node.name, { row: rows.get(node.name), column: Math.round(columns.get(node.name) * 2) / 2 }]));
}

/** Items of every row (nodes, and a thread for each row that an edge passes) and the links between neighbours. */
function threads(nodes, rows) {
  const lines = [];
  const links = [];
  const put = (row, item) => (lines[row] ??= []).push(item);
  nodes.forEach((node) => put(rows.get(node.name), node.name));
  for (const node of nodes) {
    for (const input of node.inputs.filter((name) => rows.has(name))) {
      let above = input;
      for (let row = rows.get(input) + 1; row < rows.get(node.name); row += 1) {
        const thread = `${input}\u0001${row}`;
        if (!lines[row]?.includes(thread)) put(row, thread);
        if (!links.some(([a, b]) => a === above && b === thread)) links.push([above, thread]);
        above = thread;
      }
      links.push([above, node.name]);
    }
  }
  return { lines: Array.from(lines, (line) => line ?? []), links };
}

function neighbours(links, item, side) {
  return links.filter((link) => link[side < 0 ? 1 : 0] === item).map((link) => link[side < 0 ? 0 : 1]);
}

function mean(items, columns) {
  return items.length ? items.reduce((sum, item) => sum + columns.get(item), 0) / items.length : null;
}

/** Sorts a row by where its items want to be, and moves them apart to a card's width, around that place. */
function relax(line, columns, wish) {
  const wanted = new Map(line.map((item) => [item, wish(item) ?? columns.get(item)]));
  line.sort((a, b) => wanted.get(a) - wanted.get(b) || columns.get(a) - columns.get(b));
  const groups = [];
  for (const item of line) {
    groups.push({ items: [item], at: wanted.get(item) });
    for (let last = groups.length - 1; last > 0 && overlaps(groups[last - 1], groups[last]); last -= 1) {
      const [a, b] = groups.splice(last - 1, 2);
      const at = (a.at * a.items.length + (b.at - a.items.length) * b.items.length) / (a.items.length + b.items.length);
      groups.push({ items: [...a.items, ...b.items], at });
    }
  }
  for (const group of groups) group.items.forEach((item, i) => columns.set(item, group.at + i));
}

function overlaps(a, b) {
  return a.at + a.items.length > b.at + 1e-9;
}

/** The free column of a row that is nearest to where a new node wants to be. */
function freeColumn(node, nodes, rows, places) {
  const row = rows.get(node.name);
  const taken = [...places.values()].filter((place) => place.row === row).map((place) => place.column);
  const isFree = (column) => taken.every((other) => Math.abs(other - column) >= 1);
  const all = [...places.values()].map((place) => place.column);
  const users = nodes.filter((other) => other.lookups.includes(node.name) && places.has(other.name));
  const inputs = node.inputs.filter((name) => places.has(name)).map((name) => places.get(name).column);
  let wish = all.length ? Math.max(...all) + 1 : 0;
  if (node.kind === "cache" && users.length) wish = places.get(users[0].name).column - 1.5;
  else if (inputs.length) wish = inputs.reduce((a, b) => a + b, 0) / inputs.length;
  wish = Math.round(wish * 2) / 2;
  for (let away = 0; ; away += 0.5) {
    if (isFree(wish - away) && (node.kind === "cache" || away === 0 || !isFree(wish + away))) return wish - away;
    if (isFree(wish + away)) return wish + away;
  }
}
