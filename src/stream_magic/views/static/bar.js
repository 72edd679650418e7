import { element, setText } from "./dom.js";
import { icon, stateMark } from "./icons.js";

/** The 34 px bar of every view: mark, name, kind, metrics, chips, actions. */
export class Bar {
  constructor(onAction) {
    this.onAction = onAction;
    this.mark = element("span", {});
    this.name = element("span", { class: "sm-name" });
    this.kind = element("span", { class: "sm-kind" });
    this.metrics = element("span", { class: "sm-metrics" });
    this.chips = element("span", { class: "sm-chips" });
    this.actions = element("span", { class: "sm-actions" });
    const title = element("span", { class: "sm-title" }, this.mark, this.name, this.kind);
    this.node = element("div", { class: "sm-bar", role: "toolbar" }, title, this.metrics, this.chips, this.actions);
    this.node.addEventListener("keydown", (event) => this.move(event));
  }

  /** Shows the figures; what did not change is left alone. */
  update(bar) {
    setText(this.name, bar.name);
    setText(this.kind, bar.kind);
    this.node.setAttribute("aria-label", bar.name);
    const all = bar.metrics.map(([value, word]) => `${value} ${word}`).join(", ");
    this.redraw("mark", [bar.state, bar.word, all], () => [stateMark(bar.state, bar.word, `${bar.word}. ${all}`)]);
    this.redraw("metrics", bar.metrics, () => bar.metrics.map(metric));
    this.redraw("chips", bar.chips, () => bar.chips.map(([text, tone]) => element("span", { class: `sm-chip sm-tone-${tone}` }, text)));
  }

  /** Actions are `{id, icon, title, label?, off?}` or null for a hairline. */
  setActions(actions) {
    this.redraw("actions", actions, () => actions.map((action) => (action ? this.button(action) : element("i", { class: "sm-divide" }))));
  }

  button({ id, icon: name, title, label, off }) {
    const text = label ? element("span", { class: "sm-label" }, label) : null;
    const button = element("button", { type: "button", title, "aria-label": title, "data-action": id, disabled: off ? "" : null }, icon(name), text);
    button.addEventListener("click", () => this.onAction(id));
    return button;
  }

  /** Arrows move between the actions, Space on the bar is the first one. */
  move(event) {
    const buttons = [...this.actions.querySelectorAll("button:not(:disabled)")];
    const at = buttons.indexOf(event.target);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (at < 0 || !step) return;
    event.preventDefault();
    event.stopPropagation();
    buttons[(at + step + buttons.length) % buttons.length].focus();
  }

  redraw(part, state, draw) {
    const text = JSON.stringify(state);
    if (this[part].dataset.drawn === text) return;
    this[part].dataset.drawn = text;
    this[part].replaceChildren(...draw());
  }
}

function metric([value, word, tone]) {
  return element("span", { class: tone ? `sm-tone-${tone}` : null }, element("b", {}, value), word);
}
