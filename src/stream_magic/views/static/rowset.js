import { Column } from "./columns.js";

const SEPARATOR = "\u0001";

/** The rows of one message in the order of reading, each with an id that lasts from frame to frame. */
export class RowSet {
  constructor(message, mode, key) {
    this.columns = message.columns.map((c, i) => new Column(c, i === 0));
    this.count = message.count;
    this.total = message.total ?? 0;
    this.epoch = message.epoch ?? 0;
    this.first = message.first ?? 0;
    this.isAppend = mode === "append";
    this.key = key.length ? key.map((i) => this.columns[i]) : this.columns;
    this.places = null;
  }

  /** Where the i-th row from the top stands in the message: a stream is read from its newest row. */
  source(i) {
    return this.isAppend ? this.count - 1 - i : i;
  }

  id(i) {
    const row = this.source(i);
    return this.isAppend ? String(this.first + row) : this.key.map((c) => c.raw(row)).join(SEPARATOR);
  }

  /** The message's row with this id, or undefined. */
  find(id) {
    if (!this.places) {
      this.places = new Map();
      for (let i = 0; i < this.count; i += 1) this.places.set(this.id(i), this.source(i));
    }
    return this.places.get(id);
  }
}
