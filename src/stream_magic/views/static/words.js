const MINUS = "\u2212";

/** Groups the digits of a number given as text: every digit stays. */
export function groupDigits(text) {
  const [, sign, whole, rest] = /^(-?)(\d+)(.*)$/.exec(text) ?? [null, "", text, ""];
  return (sign && MINUS) + whole.replace(/\B(?=(\d{3})+$)/g, ",") + rest;
}

/** Decimals of a column of doubles: as many as are needed, six digits for the largest, two if cents are there. */
export function columnDecimals(values) {
  let [needed, largest] = [0, 1];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    needed = Math.max(needed, decimalsOf(value));
    largest = Math.max(largest, Math.abs(value));
  }
  return Math.min(needed, Math.max(2, 5 - Math.floor(Math.log10(largest))));
}

/** Decimals that one double needs, at most six. */
function decimalsOf(value) {
  if (Number.isInteger(value)) return 0;
  const [, fraction = ""] = value.toFixed(6).split(".");
  return fraction.replace(/0+$/, "").length;
}

/** A double with fixed decimals; tiny and huge ones in powers of ten. */
export function doubleText(value, decimals) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : MINUS + "Infinity";
  const size = Math.abs(value);
  if (size >= 1e15 || (size > 0 && size < 1e-4)) return value.toExponential(5).replace("-", MINUS).replace(/^-/, MINUS);
  return groupDigits(value.toFixed(decimals));
}

const pad = (n, width = 2) => String(n).padStart(width, "0");

function dayText(ms) {
  const day = new Date(ms);
  const year = day.getUTCFullYear();
  return `${year < 0 ? MINUS : ""}${pad(Math.abs(year), 4)}-${pad(day.getUTCMonth() + 1)}-${pad(day.getUTCDate())}`;
}

/** The time of day of microseconds, with 0, 3 or 6 digits of a second. */
export function clockText(us, digits) {
  const inDay = ((us % 864e8) + 864e8) % 864e8;
  const seconds = Math.floor(inDay / 1e6);
  const clock = `${pad(Math.floor(seconds / 3600))}:${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  const fraction = pad(Math.round(inDay % 1e6), 6).slice(0, digits);
  return digits ? `${clock}.${fraction}` : clock;
}

/** Digits of a second that a column of microseconds needs: 0, 3 or 6. */
export function fractionDigits(values) {
  let digits = 0;
  for (const us of values) {
    if (us % 1e3) return 6;
    if (us % 1e6) digits = 3;
  }
  return digits;
}

/** The offset of a zone at an instant, in microseconds. */
function zoneOffset(us, zone) {
  if (!zone || zone === "UTC") return 0;
  try {
    const format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });
    const part = Object.fromEntries(format.formatToParts(new Date(us / 1e3)).map((p) => [p.type, Number(p.value)]));
    return (Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second) - Math.floor(us / 1e6) * 1e3) * 1e3;
  } catch {
    return 0;
  }
}

/** '14:32:17' today, '2025-03-14 14:32:17' else. */
export function timestampText(us, zone, digits, now = Date.now()) {
  const local = us + zoneOffset(us, zone);
  const today = dayText((now * 1e3 + zoneOffset(now * 1e3, zone)) / 1e3);
  const day = dayText(Math.floor(local / 1e3));
  return day === today ? clockText(local, digits) : `${day} ${clockText(local, digits)}`;
}

export function dateText(us) {
  return dayText(us / 1e3);
}

/** A span of time in two units at most. */
export function intervalText(us) {
  const sign = us < 0 ? MINUS : "";
  const seconds = Math.abs(us) / 1e6;
  if (seconds < 1) return `${sign}${Number((seconds * 1e3).toFixed(3))} ms`;
  if (seconds < 60) return `${sign}${Number(seconds.toFixed(3))} s`;
  const whole = Math.round(seconds);
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const at = units.findIndex(([, size]) => whole >= size);
  const [[big, size], [small, part]] = [units[at], units[at + 1]];
  const rest = Math.floor((whole % size) / part);
  return `${sign}${Math.floor(whole / size)} ${big}${rest ? ` ${rest} ${small}` : ""}`;
}

/** 1 -> '1 row', 2418 -> '2,418 rows'. */
export function countText(n, word) {
  return `${groupDigits(String(n))} ${n === 1 ? word : `${word}s`}`;
}
