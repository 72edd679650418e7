import { element } from "./dom.js";
import { Figures } from "./figure.js";
import { Frame, staleBar } from "./frame.js";
import { Freeze } from "./freeze.js";
import { Grid } from "./grid.js";
import { icon } from "./icons.js";
import { download, lifeline } from "./lifeline.js";
import { RowSet } from "./rowset.js";
import { clockText, countText, groupDigits } from "./words.js";

/** The live table: draws the newest frame at the next paint and drops those between. */
class TableView {
  constructor(model, root) {
    this.model = model;
    this.options = model.get("view");
    this.frame = new Frame(root, (id) => this.act(id));
    this.grid = new Grid(this.frame.content, model.get("bar").name);
    this.freeze = new Freeze(this.grid, () => this.request());
    this.figures = null;
    this.isPaused = false;
    this.staleSince = null;
    this.held = null;
    this.shownRows = null;
    this.pending = 0;
    model.on("change:bar", () => this.request());
    model.on("change:rows", () => this.request());
    model.on("msg:custom", (message) => message.what === "csv" && download(message.name, message.text));
    this.endLifeline = lifeline(model, () => this.goStale());
    this.draw();
  }

  close() {
    cancelAnimationFrame(this.pending);
    this.freeze.close();
    this.grid.close();
    this.endLifeline();
  }

  /** One paint for all that came since the last one. */
  request() {
    if (!this.pending) this.pending = requestAnimationFrame(() => this.draw());
  }

  goStale() {
    this.staleSince ??= clockText(Date.now() * 1e3 - new Date().getTimezoneOffset() * 6e7, 0);
    this.request();
  }

  draw() {
    this.pending = 0;
    const bar = this.bar();
    const isHeld = this.isPaused || this.freeze.isFrozen;
    this.frame.update(bar);
    this.frame.bar.setActions(this.actions(bar));
    if (!isHeld) this.held = null;
    else this.held ??= { rows: bar.rows, epoch: bar.epoch };
    const message = this.model.get("rows");
    if (!isHeld && message !== this.shownRows) this.show(message);
    this.drawFoot(bar, this.model.get("rows"));
  }

  bar() {
    const bar = this.model.get("bar");
    if (this.staleSince) return staleBar(bar, this.staleSince);
    return this.isPaused ? { ...bar, state: "paused", word: "Paused" } : bar;
  }

  show(message) {
    this.shownRows = message;
    const empty = message.is_loading ? { isLoading: true } : message.empty;
    this.frame.setMessage(empty);
    this.frame.content.hidden = Boolean(empty);
    this.frame.body.style.minHeight = this.options.mode === "single" ? "120px" : `${34 + this.grid.tallest * 26}px`;
    if (empty) return;
    if (this.options.mode === "single" && message.count === 1) this.showFigures(message);
    else this.grid.show(new RowSet(message, this.options.mode, this.options.key));
  }

  showFigures(message) {
    this.figures ??= new Figures(this.frame.content);
    this.figures.show(message);
  }

  actions(bar) {
    const isPaused = bar.state === "paused";
    const where = this.options.pauses === "app" ? "the app" : "this view";
    const pause = isPaused ? { id: "resume", icon: "play", title: `Resume ${where}`, label: "Resume" } : { id: "pause", icon: "pause", title: `Pause ${where}` };
    const off = Boolean(this.staleSince);
    return [{ ...pause, off }, null, { id: "csv", icon: "csv", title: "Download as CSV", label: "CSV", off }];
  }

  act(id) {
    if (id === "csv") this.model.send({ what: "csv" });
    else if (this.options.pauses === "app") this.model.send({ what: "pause", on: id === "pause" });
    else this.isPaused = id === "pause";
    this.request();
  }

  drawFoot(bar, message) {
    const foot = this.frame.foot;
    const isFrozen = this.freeze.isFrozen && !this.staleSince;
    foot.classList.toggle("sm-frozen", isFrozen);
    const parts = isFrozen ? this.frozenParts(bar) : this.footParts(bar, message);
    const drawn = JSON.stringify([isFrozen, parts]);
    if (foot.dataset.drawn === drawn) return;
    foot.dataset.drawn = drawn;
    foot.replaceChildren(...(isFrozen ? this.frozenNodes(parts) : plainNodes(parts)));
  }

  footParts(bar, message) {
    if (message.is_loading) return ["Reading rows", ""];
    const shown = this.shownRows ?? message;
    const order = this.options.mode === "append" && shown.count ? ", newest first" : "";
    const waiting = this.held ? `, ${this.waiting(bar)}` : "";
    return [`${groupDigits(String(shown.count))} of ${countText(shown.total, "row")} shown${order}${waiting}`, `epoch ${groupDigits(String(shown.epoch))}`];
  }

  frozenParts(bar) {
    return [this.waiting(bar)];
  }

  waiting(bar) {
    if (this.options.mode === "append") return countText(Math.max(0, bar.rows - this.held.rows), "new row");
    const epochs = Math.max(0, bar.epoch - this.held.epoch);
    return epochs ? `changes of ${countText(epochs, "epoch")} wait` : "no changes since";
  }

  frozenNodes([waiting]) {
    const newest = element("button", { class: "sm-button", type: "button", "data-action": "newest" }, icon("up", 12), "Newest");
    newest.addEventListener("click", () => this.freeze.thaw());
    return [element("b", {}, "Frozen while you read"), element("span", {}, waiting), element("span", { class: "sm-spacer" }), element("span", {}, "Esc"), newest];
  }
}

function plainNodes([left, right]) {
  return [element("span", {}, left), element("span", { class: "sm-spacer" }), element("span", {}, right)];
}

export default {
  render({ model, el }) {
    const view = new TableView(model, el);
    return () => view.close();
  },
};
