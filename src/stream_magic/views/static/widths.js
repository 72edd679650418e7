const NARROWEST = 56;
const WIDEST = 260;
const PADDING = 24;
const SAMPLE = 30;

/** Widths of columns: wide enough for what was seen so far, never narrower again. */
export class Widths {
  constructor(node) {
    this.node = node;
    this.widths = [];
    this.pen = document.createElement("canvas").getContext("2d");
  }

  /** Grows to the rows from `from` on; returns true if a width changed. */
  grow(rows, from) {
    this.pen.font = `500 12px ${getComputedStyle(this.node).fontFamily}`;
    let hasGrown = this.widths.length !== rows.columns.length;
    rows.columns.forEach((column, c) => {
      const needed = this.needed(column, rows, from);
      if (needed > (this.widths[c] ?? 0)) {
        this.widths[c] = needed;
        hasGrown = true;
      }
    });
    return hasGrown;
  }

  needed(column, rows, from) {
    const head = Math.max(this.measure(column.name), column.type.length * 6);
    if (column.kind === "nested") return Math.max(240, head + PADDING);
    let most = head;
    const end = Math.min(rows.count, from + SAMPLE);
    for (let i = from; i < end; i += 1) {
      const row = rows.source(i);
      if (!column.isNull(row)) most = Math.max(most, this.measure(column.text(row).slice(0, 80)));
    }
    const limit = column.isRight ? Infinity : WIDEST;
    return Math.ceil(Math.min(limit, Math.max(NARROWEST, most + PADDING)));
  }

  measure(text) {
    return this.pen.measureText(text).width;
  }

  get sum() {
    return this.widths.reduce((a, b) => a + b, 0);
  }
}
