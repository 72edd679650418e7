import { Column } from "./columns.js";
import { element, setText } from "./dom.js";
import { sparkline } from "./spark.js";

const REMEMBERED = 60;

/** A result of one row: every column as a figure, numbers with their recent past. */
export class Figures {
  constructor(place) {
    this.node = element("div", { class: "sm-figures" });
    this.past = new Map();
    this.shown = new Map();
    place.replaceChildren(this.node);
  }

  show(message) {
    const columns = message.columns.map((c) => new Column(c));
    this.node.classList.toggle("sm-many", columns.length > 2);
    for (const column of columns) this.showOne(column, columns.length);
  }

  showOne(column, count) {
    if (!this.shown.has(column.name)) this.shown.set(column.name, this.make(column));
    const { value, trend } = this.shown.get(column.name);
    setText(value, column.isNull(0) ? "NULL" : column.kind === "nested" ? column.whole(0) : column.text(0));
    value.classList.toggle("sm-null", column.isNull(0));
    if (!["number", "digits"].includes(column.kind) || column.isNull(0)) return;
    const past = this.past.get(column.name) ?? [];
    past.push(Number(column.values[0]));
    this.past.set(column.name, past.slice(-REMEMBERED));
    if (past.length > 1) trend.replaceChildren(sparkline(past.slice(-REMEMBERED), count > 2 ? 120 : 280, 32, "var(--sm-c1)"));
  }

  make(column) {
    const value = element("div", {});
    const trend = element("span", {});
    this.node.append(element("div", { class: "sm-figure" }, element("span", {}, column.name), value, trend));
    return { value, trend };
  }
}
