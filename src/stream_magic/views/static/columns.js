import { clockText, columnDecimals, dateText, doubleText, fractionDigits, groupDigits, intervalText, timestampText } from "./words.js";

const BINARY = new Set(["number", "timestamp", "date", "time", "interval"]);
const RIGHT = new Set(["number", "digits", "timestamp", "date", "time", "interval"]);
const CLOCK = new Set(["timestamp", "date", "time"]); // a first column of times leads its row: left

/** One column of a message: `text(i)` as shown, `isNull(i)`, `raw(i)` for comparing. */
export class Column {
  constructor(message, isFirst = false) {
    this.name = message.name;
    this.type = message.type;
    this.kind = message.kind;
    this.zone = message.zone;
    this.isRight = RIGHT.has(message.kind) && !(isFirst && CLOCK.has(message.kind));
    this.isId = /(^|_)id$/i.test(message.name);
    this.values = BINARY.has(message.kind) ? doubles(message.values) : message.values;
    this.nulls = message.nulls ? bytes(message.nulls) : null;
    this.digits = null;
    this.isInteger = message.integer;
  }

  isNull(i) {
    return this.nulls ? this.nulls[i] === 1 : this.values[i] === null;
  }

  raw(i) {
    if (this.isNull(i)) return null;
    return this.kind === "nested" ? JSON.stringify(this.values[i]) : this.values[i];
  }

  text(i) {
    const value = this.values[i];
    switch (this.kind) {
      case "number": return this.numberText(value);
      case "digits": return this.isId ? value.replace("-", "\u2212") : groupDigits(value);
      case "timestamp": return timestampText(value, this.zone, this.fraction());
      case "time": return clockText(value, this.fraction());
      case "date": return dateText(value);
      case "interval": return intervalText(value);
      case "code": return value.length === 36 ? `${value.slice(0, 4)}\u2026${value.slice(-4)}` : value;
      default: return String(value);
    }
  }

  /** Every digit, for copying and for the tooltip. */
  whole(i) {
    if (this.isNull(i)) return "";
    if (this.kind === "number" || this.kind === "digits" || this.kind === "code") return String(this.values[i]);
    if (this.kind === "nested") return plain(this.values[i]);
    return this.text(i);
  }

  numberText(value) {
    if (this.isInteger) return this.isId ? String(value).replace("-", "\u2212") : groupDigits(String(value));
    this.digits ??= columnDecimals(this.values);
    return doubleText(value, this.digits);
  }

  fraction() {
    this.digits ??= fractionDigits(this.values);
    return this.digits;
  }
}

/** A copy, because a view on the message's bytes may not be aligned to eight. */
function doubles(view) {
  return new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

function bytes(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** A leaf of a nested value as text. */
export function leafText(value) {
  if (value === null) return "NULL";
  if (typeof value === "object") return value.n ?? value.t ?? plain(value);
  return value === "" ? "''" : String(value);
}

function plain(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (value.s) return `{${value.s.map(([name, v]) => `${name}: ${plain(v)}`).join(", ")}}`;
  if (value.l) return `[${value.l.map(plain).join(", ")}]`;
  return value.n ?? value.t;
}
