import { element, shape } from "./dom.js";
import { drawEdges } from "./edges.js";
import { Frame, staleBar } from "./frame.js";
import { stateMark } from "./icons.js";
import { layout } from "./layout.js";
import { lifeline } from "./lifeline.js";
import { NodeCard } from "./node_card.js";
import { clockText } from "./words.js";

const FULL = { w: 196, h: 72, across: 230, down: 120 };
const COMPACT = { w: 130, h: 24, across: 144, down: 64 };
const EDGE_LEFT = 92;
const EDGE_TOP = 24;
const SMALLEST = 0.75; // below it a node is one line

/** The graph of an app: cards keep their places, figures change. */
class FlowView {
  constructor(model, root) {
    this.model = model;
    this.staleSince = null;
    this.frame = new Frame(root, (id) => model.send({ what: id }));
    root.classList.add("sm-flow");
    this.edges = shape("svg", { class: "sm-edges", "aria-hidden": "true" });
    this.lanes = element("div", {});
    this.inner = element("div", { class: "sm-graph-inner" }, this.edges, this.lanes);
    this.graph = element("div", { class: "sm-graph", role: "group" }, this.inner);
    this.problems = element("ul", { class: "sm-problems" });
    this.frame.content.replaceChildren(this.graph, this.problems);
    this.cards = new Map();
    this.places = new Map();
    this.pending = 0;
    this.graph.addEventListener("keydown", (event) => this.move(event));
    for (const trait of ["bar", "nodes"]) model.on(`change:${trait}`, () => this.request());
    this.resize = new ResizeObserver(() => this.request());
    this.resize.observe(this.graph);
    this.endLifeline = lifeline(model, () => this.goStale());
    this.draw();
  }

  close() {
    cancelAnimationFrame(this.pending);
    this.resize.disconnect();
    this.endLifeline();
  }

  request() {
    if (!this.pending) this.pending = requestAnimationFrame(() => this.draw());
  }

  goStale() {
    this.staleSince ??= clockText(Date.now() * 1e3 - new Date().getTimezoneOffset() * 6e7, 0);
    this.request();
  }

  draw() {
    this.pending = 0;
    const bar = this.staleSince ? staleBar(this.model.get("bar"), this.staleSince) : this.model.get("bar");
    const nodes = this.model.get("nodes");
    this.frame.update(bar);
    this.frame.bar.setActions(this.actions(bar));
    this.graph.setAttribute("aria-label", `${bar.name}: ${bar.kind}`);
    const isEmpty = nodes.length === 0;
    this.frame.setMessage(isEmpty ? { title: `${bar.name} has no nodes yet`, text: "Write CREATE SOURCE in a %%stream cell." } : null);
    this.frame.content.hidden = isEmpty;
    if (isEmpty) return;
    this.drawCards(nodes);
    this.drawGraph(nodes);
    this.drawProblems(bar.problems ?? []);
  }

  actions(bar) {
    const off = Boolean(this.staleSince);
    const isPaused = bar.state === "paused";
    const pause = isPaused ? { id: "resume", icon: "play", title: "Resume the app", label: "Resume" } : { id: "pause", icon: "pause", title: "Pause the app" };
    return [{ ...pause, off }, { id: "step", icon: "step", title: isPaused ? "Step one epoch" : "Step one epoch (pause first)", off: off || !isPaused }];
  }

  drawCards(nodes) {
    const names = new Set(nodes.map((node) => node.name));
    for (const [name, card] of this.cards) {
      if (names.has(name)) continue;
      card.node.remove();
      this.cards.delete(name);
    }
    const isNews = nodes !== this.shownNodes;
    this.shownNodes = nodes;
    for (const node of nodes) {
      if (!this.cards.has(node.name)) {
        const card = new NodeCard(node);
        this.cards.set(node.name, card);
        this.inner.append(card.node);
        card.update(node);
      } else if (isNews) this.cards.get(node.name).update(node);
    }
    const first = this.graph.querySelector(".sm-node");
    if (first && !this.graph.querySelector('.sm-node[tabindex="0"]')) first.tabIndex = 0;
  }

  /** Places cards, lanes and edges; the graph shrinks to the width that there is. */
  drawGraph(nodes) {
    this.places = layout(nodes, this.places);
    const room = this.graph.clientWidth || 900;
    const columns = [...this.places.values()].map((place) => place.column);
    const [left, right] = [Math.min(...columns), Math.max(...columns)];
    const rows = 1 + Math.max(...[...this.places.values()].map((place) => place.row));
    const widthOf = (card) => EDGE_LEFT + (right - left) * card.across + card.w + 24;
    const card = widthOf(FULL) * SMALLEST <= room ? FULL : COMPACT;
    const scale = Math.min(1, Math.max(SMALLEST, room / widthOf(card)));
    const spare = Math.max(0, (room / scale - widthOf(card)) / 2);
    const boxes = {};
    for (const [name, { row, column }] of this.places) {
      boxes[name] = { x: Math.round(EDGE_LEFT + spare + (column - left) * card.across), y: EDGE_TOP + row * card.down, w: card.w, h: card.h };
      this.cards.get(name)?.place(boxes[name]);
    }
    const height = EDGE_TOP * 2 + (rows - 1) * card.down + card.h;
    this.graph.classList.toggle("sm-compact", card === COMPACT);
    this.inner.style.transform = scale < 1 ? `scale(${scale})` : "";
    this.graph.style.height = `${Math.ceil(height * scale)}px`;
    this.drawLanes(nodes, card);
    drawEdges(this.edges, edgesOf(nodes, boxes), boxes, card.across - card.w);
  }

  drawLanes(nodes, card) {
    const rowOf = (kinds) => nodes.filter((n) => kinds.includes(n.kind)).map((n) => this.places.get(n.name).row);
    const hasCaches = nodes.some((n) => n.kind === "cache");
    const lanes = [["Sources", rowOf(["source"])], [hasCaches ? "Caches and queries" : "Queries", rowOf(["stream", "table", "cache"])], ["Targets", rowOf(["target"])]];
    this.lanes.replaceChildren(...lanes.filter(([, rows]) => rows.length).map(([text, rows]) => {
      const top = EDGE_TOP + Math.min(...rows) * card.down + card.h / 2 - 8;
      return element("span", { class: "sm-lane", style: `top:${top}px` }, text);
    }));
  }

  drawProblems(problems) {
    const drawn = JSON.stringify(problems);
    if (this.problems.dataset.drawn === drawn) return;
    this.problems.dataset.drawn = drawn;
    this.problems.replaceChildren(...problems.map(({ name, state, word, text }) => element("li", {}, stateMark(state, word), element("span", {}, element("b", {}, name), ` ${text}`))));
  }

  /** Arrows go along the nodes in the order of the flow. */
  move(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const cards = [...this.cards.values()].map((card) => card.node);
    const at = cards.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    const next = cards[(at + step + cards.length) % cards.length];
    cards.forEach((card) => { card.tabIndex = card === next ? 0 : -1; });
    next.focus();
  }
}

/** What flows along an edge is what its upper node gives out. */
function edgesOf(nodes, boxes) {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  return nodes.flatMap((node) => [
    ...node.inputs.filter((name) => boxes[name]).map((from) => ({ from, to: node.name, text: byName.get(from).rate_text, rate: byName.get(from).rate })),
    ...node.lookups.filter((name) => boxes[name]).map((from) => ({ from, to: node.name, text: "lookup", rate: 0, isLookup: true })),
  ]);
}

export default {
  render({ model, el }) {
    const view = new FlowView(model, el);
    return () => view.close();
  },
};
