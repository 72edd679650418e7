import { fillCell } from "./cells.js";
import { element } from "./dom.js";
import { Widths } from "./widths.js";

const ROW = 26;
const HEAD = 34;
const SPARE = 6;
const FEWEST = 5;
const MOST = 12;

/** Rows on screen: only those in sight are in the page, each bound to its row's id. */
export class Grid {
  constructor(place, label) {
    this.columnGroup = element("colgroup");
    this.heads = element("tr", { "aria-rowindex": 1 });
    this.above = padRow();
    this.below = padRow();
    this.rowsBody = element("tbody", {}, this.above, this.below);
    this.table = element("table", { class: "sm-table", role: "grid", "aria-label": label }, this.columnGroup, element("thead", {}, this.heads), this.rowsBody);
    this.node = element("div", { class: "sm-scroll", tabindex: 0 }, this.table);
    this.widths = new Widths(this.table);
    this.drawn = new Map();
    this.opened = null;
    this.tallest = FEWEST;
    this.flip = false;
    place.replaceChildren(this.node);
    this.node.addEventListener("scroll", () => this.rows && this.paint(null));
    this.resize = new ResizeObserver(() => this.refit());
    this.resize.observe(this.node);
    this.table.addEventListener("click", (event) => this.click(event));
    this.table.addEventListener("animationend", (event) => settle(event.target));
  }

  /** Shows rows; what is new or changed since the rows before them flashes. */
  show(rows) {
    const before = this.rows;
    const hasNewHeads = !before || headText(before) !== headText(rows);
    this.rows = rows;
    if (hasNewHeads) this.drawHeads();
    this.setHeight();
    this.table.setAttribute("aria-rowcount", rows.total + 1);
    this.table.setAttribute("aria-colcount", rows.columns.length);
    this.flip = !this.flip;
    this.paint(hasNewHeads ? null : before);
  }

  close() {
    this.resize.disconnect();
  }

  /** The place has another size, or only now is in the page and has its font. */
  refit() {
    if (!this.rows) return;
    this.applyWidths();
    this.paint(null);
  }

  setHeight() {
    this.tallest = Math.min(MOST, Math.max(this.tallest, this.rows.count));
    this.node.style.height = `${HEAD + this.tallest * ROW}px`;
  }

  drawHeads() {
    this.drawn.forEach((line) => line.remove());
    this.drawn.clear();
    this.widths.widths = [];
    this.heads.replaceChildren(...this.rows.columns.map((column) => {
      const attributes = { class: column.isRight ? "sm-right" : null, scope: "col", title: `${column.name}, ${column.type}` };
      return element("th", attributes, column.name, element("small", {}, column.type));
    }));
    for (const pad of [this.above, this.below]) pad.firstChild.colSpan = this.rows.columns.length;
    this.columnGroup.replaceChildren(...this.rows.columns.map(() => element("col")));
  }

  /** Draws the rows in sight. */
  paint(before) {
    const [from, to] = this.range();
    if (this.widths.grow(this.rows, from)) this.applyWidths();
    const lines = [];
    const used = new Map();
    for (let i = from; i < to; i += 1) {
      let id = this.rows.id(i);
      const twins = used.get(id) ?? 0;
      used.set(id, twins + 1);
      if (twins) id = `${id}\u0002${twins}`;
      lines.push(this.line(i, id));
    }
    const keep = new Set(lines);
    for (const [id, line] of this.drawn) if (!keep.has(line)) this.forget(id, line);
    this.place(lines);
    this.above.firstChild.style.height = `${from * ROW}px`;
    this.below.firstChild.style.height = `${(this.rows.count - to) * ROW}px`;
    if (before) this.flash(lines, before);
  }

  range() {
    const top = Math.floor(this.node.scrollTop / ROW);
    const from = Math.max(0, Math.min(top - SPARE, this.rows.count - 1));
    return [from, Math.min(this.rows.count, top + this.tallest + SPARE)];
  }

  applyWidths() {
    [...this.columnGroup.children].forEach((col, c) => { col.style.width = `${this.widths.widths[c]}px`; });
    this.table.style.width = `${Math.max(this.node.clientWidth, this.widths.sum)}px`;
  }

  /** The line of the i-th row, made or brought up to date. */
  line(i, id) {
    let line = this.drawn.get(id);
    if (!line) {
      line = element("tr", {}, ...this.rows.columns.map((column) => element("td", { class: cellClass(column), role: "gridcell", tabindex: -1 })));
      line.dataset.id = id;
      this.drawn.set(id, line);
      line.isFresh = true;
    }
    const row = this.rows.source(i);
    line.setAttribute("aria-rowindex", i + 2);
    this.rows.columns.forEach((column, c) => {
      const isOpen = this.opened?.id === id && this.opened.column === c && !column.isNull(row);
      line.children[c].classList.toggle("sm-opened", isOpen);
      fillCell(line.children[c], column, row, isOpen);
    });
    return line;
  }

  forget(id, line) {
    line.remove();
    this.drawn.delete(id);
  }

  /** Puts lines in order and leaves those that stand right, so that their fading goes on. */
  place(lines) {
    let next = this.above.nextSibling;
    for (const line of lines) {
      if (line === next) next = next.nextSibling;
      else this.rowsBody.insertBefore(line, next);
    }
  }

  flash(lines, before) {
    const isNew = (line) => (this.rows.isAppend ? Number(line.dataset.id) >= before.first + before.count : before.find(line.dataset.id) === undefined);
    const fresh = lines.filter((line) => line.isFresh && isNew(line));
    const swap = (node, name) => {
      node.classList.remove(`${name}-a`, `${name}-b`);
      node.classList.add(`${name}-${this.flip ? "a" : "b"}`);
    };
    if (fresh.length <= lines.length / 2) fresh.forEach((line) => swap(line, "sm-new"));
    lines.forEach((line) => { line.isFresh = false; });
    if (this.rows.isAppend) return;
    for (const line of lines) {
      const [old, now] = [before.find(line.dataset.id), this.rows.find(line.dataset.id)];
      if (old === undefined || now === undefined) continue;
      this.rows.columns.forEach((column, c) => {
        if (column.raw(now) !== before.columns[c].raw(old)) swap(line.children[c], "sm-changed");
      });
    }
  }

  /** A click on a nested value opens it in its place; its row grows. */
  click(event) {
    const cell = event.target.closest("td[role=gridcell]");
    if (!cell) return;
    if (!cell.contains(document.activeElement)) cell.focus({ preventScroll: true });
    if (event.target.closest(".sm-fold")) this.toggle(cell);
  }

  toggle(cell) {
    const [id, column] = [cell.parentNode.dataset.id, [...cell.parentNode.children].indexOf(cell)];
    if (this.rows.columns[column].kind !== "nested") return;
    const isOpen = this.opened?.id === id && this.opened.column === column;
    this.opened = isOpen ? null : { id, column };
    this.paint(null);
  }

  /** The cell that the keyboard is in, and its neighbours. */
  move(cell, key) {
    const line = cell.parentNode;
    const c = [...line.children].indexOf(cell);
    const target = { ArrowLeft: line.children[c - 1], ArrowRight: line.children[c + 1], ArrowUp: line.previousSibling?.children[c], ArrowDown: line.nextSibling?.children[c] }[key];
    if (target?.getAttribute("role") === "gridcell") target.focus();
  }

  /** The whole value of a cell, as it is copied. */
  value(cell) {
    const id = cell.parentNode.dataset.id;
    const row = this.rows.find(id);
    return row === undefined ? cell.textContent : this.rows.columns[[...cell.parentNode.children].indexOf(cell)].whole(row);
  }
}

/** Takes the classes of a flash away that is over: a new style sheet would start it again. */
function settle(cell) {
  cell.classList.remove("sm-changed-a", "sm-changed-b");
  cell.parentNode.classList.remove("sm-new-a", "sm-new-b");
}

function padRow() {
  return element("tr", { class: "sm-pad", "aria-hidden": "true" }, element("td"));
}

function cellClass(column) {
  return [column.isRight ? "sm-right" : "", column.kind === "code" || (column.isId && column.isRight) ? "sm-code" : "", column.kind === "timestamp" ? "sm-quiet" : ""].join(" ").trim();
}

function headText(rows) {
  return rows.columns.map((c) => `${c.name} ${c.type} ${c.isRight}`).join();
}
