import { element, setText } from "./dom.js";
import { icon, stateMark } from "./icons.js";
import { sparkline } from "./spark.js";

const TWO_MINUTES = 240; // at two a second
const POINTS = 40;

/** A node of the graph: icon by kind, name, detail, mark; rate, its recent past, lag. */
export class NodeCard {
  constructor(node) {
    this.past = [];
    this.drawn = "";
    this.icon = element("span", { class: "sm-node-icon" }, icon(node.icon));
    this.name = element("div", { class: "sm-node-name" });
    this.detail = element("div", { class: "sm-node-detail" });
    this.mark = element("span", { class: "sm-node-mark" });
    this.rate = element("b", {});
    this.trend = element("span", {});
    this.lag = element("span", { class: "sm-node-lag" });
    this.badge = element("span", { class: "sm-node-badge" });
    const head = element("div", { class: "sm-node-head" }, this.icon, element("div", { class: "sm-node-words" }, this.name, this.detail));
    this.node = element("div", { class: "sm-node", role: "button", tabindex: -1 }, head, this.mark, element("div", { class: "sm-node-figures" }, this.rate, this.trend, this.lag), this.badge);
  }

  update(node) {
    setText(this.name, node.name);
    setText(this.detail, node.detail);
    setText(this.rate, node.rate_text);
    setText(this.lag, node.state === "waiting" && !node.lag ? "waiting" : node.lag);
    setText(this.badge, node.errors);
    Object.assign(this.node.dataset, { kind: node.kind, state: node.state, name: node.name });
    const words = [node.name, node.word, node.rate_text, node.errors].filter(Boolean).join(", ");
    this.node.setAttribute("aria-label", words);
    this.node.title = [node.name, node.detail, node.message].filter(Boolean).join("\n");
    if (this.drawn !== node.state) this.mark.replaceChildren(stateMark(node.state, node.word));
    this.drawn = node.state;
    this.drawTrend(node);
  }

  drawTrend(node) {
    if (node.kind === "cache" || node.state === "waiting") return;
    this.past.push(node.rate);
    this.past = this.past.slice(-TWO_MINUTES);
    if (this.past.length < 2) return;
    const step = Math.max(1, Math.floor(this.past.length / POINTS));
    const shown = this.past.filter((_, i) => (this.past.length - 1 - i) % step === 0);
    this.trend.replaceChildren(sparkline(shown, 60, 16, node.state === "failed" ? "var(--sm-err)" : undefined));
  }

  place({ x, y }) {
    Object.assign(this.node.style, { left: `${x}px`, top: `${y}px` });
  }
}
