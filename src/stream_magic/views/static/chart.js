import { element } from "./dom.js";
import { Frame, staleBar } from "./frame.js";
import { download, lifeline } from "./lifeline.js";
import { clockText } from "./words.js";

/** Bar, legend and footer of a chart; the lines are drawn by the figure below. */
class ChartHeadView {
  constructor(model, root) {
    this.model = model;
    this.staleSince = null;
    this.frame = new Frame(root, (id) => model.send({ what: id }));
    this.legend = element("div", { class: "sm-legend", role: "group", "aria-label": "Series" });
    this.aside = element("div", { class: "sm-aside", role: "img" });
    this.frame.content.replaceChildren(this.legend, this.aside);
    this.pending = 0;
    for (const trait of ["bar", "legend", "foot", "message"]) model.on(`change:${trait}`, () => this.request());
    model.on("msg:custom", (message) => message.what === "csv" && download(message.name, message.text));
    this.endLifeline = lifeline(model, () => this.goStale());
    this.draw();
  }

  close() {
    cancelAnimationFrame(this.pending);
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
    const message = this.model.get("message");
    this.frame.update(bar);
    this.frame.bar.setActions(this.actions(bar));
    this.frame.setMessage(message);
    this.frame.content.hidden = Boolean(message);
    this.drawLegend(this.model.get("legend"));
    const [left, right] = this.model.get("foot");
    this.frame.foot.replaceChildren(element("span", {}, left), element("span", { class: "sm-spacer" }), element("span", {}, right));
  }

  actions(bar) {
    const off = Boolean(this.staleSince);
    const isPaused = bar.state === "paused";
    const pause = isPaused ? { id: "resume", icon: "play", title: "Resume this view", label: "Resume" } : { id: "pause", icon: "pause", title: "Pause this view" };
    return [{ ...pause, off }, null, { id: "csv", icon: "csv", title: "Download as CSV", label: "CSV", off }];
  }

  /** Series are switches; Alt-click shows one alone. Buttons are kept, so that focus stays. */
  drawLegend({ title = "", entries = [], summary = "" }) {
    this.aside.setAttribute("aria-label", summary);
    const names = JSON.stringify([title, entries.map((e) => [e.name, e.colour])]);
    if (this.legend.dataset.drawn !== names) {
      this.legend.dataset.drawn = names;
      this.legend.replaceChildren(element("span", {}, title), ...entries.map((entry) => this.switchOf(entry)));
    }
    [...this.legend.querySelectorAll("button")].forEach((button, i) => {
      button.setAttribute("aria-checked", String(entries[i].is_on));
      button.lastChild.textContent = entries[i].last;
    });
  }

  switchOf({ name, colour }) {
    const button = element("button", { type: "button", role: "switch", title: name }, element("i", { style: `background:${colour}` }), element("span", {}, name), element("b", {}));
    button.addEventListener("click", (event) => this.model.send({ what: "toggle", name, alone: event.altKey }));
    return button;
  }
}

export default {
  render({ model, el }) {
    const view = new ChartHeadView(model, el);
    return () => view.close();
  },
};
