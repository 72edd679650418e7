import { leafText } from "./columns.js";
import { element, setText } from "./dom.js";

/** Shows one value in a cell; `isOpen` unfolds a nested one. */
export function fillCell(cell, column, row, isOpen) {
  const sort = cellSort(column, row);
  const state = isOpen ? "opened" : sort;
  if (cell.dataset.sort !== state || state !== "plain") {
    cell.dataset.sort = state;
    cell.replaceChildren(...SPECIAL[state](column, row));
  } else {
    setText(cell, column.text(row));
  }
  const whole = sort === "plain" ? column.whole(row) : "";
  if (cell.title !== whole) cell.title = whole;
}

function cellSort(column, row) {
  if (column.isNull(row)) return "null";
  if (column.kind === "nested") return "nested";
  return column.kind === "text" && column.values[row] === "" ? "empty" : "plain";
}

const SPECIAL = {
  plain: (column, row) => [column.text(row)],
  null: () => [element("span", { class: "sm-null" }, "NULL")],
  empty: () => [element("span", { class: "sm-empty-text" }, "empty")],
  nested: (column, row) => [fold(column.values[row])],
  opened: (column, row) => [fold(column.values[row]), element("div", { class: "sm-lines" }, ...openLines(column.values[row]))],
};

function fold(value) {
  const node = element("span", { class: "sm-fold" });
  if (value.l) node.append(`[${value.size}] `, value.l.slice(0, 4).map(shortText).join(", "));
  else node.append(`{${value.size}}`, ...value.s.slice(0, 3).flatMap(([name, v]) => [" ", element("i", {}, name), ` ${shortText(v)}`]));
  return node;
}

function shortText(value) {
  if (value?.s) return `{${value.size}}`;
  if (value?.l) return `[${value.size}]`;
  const text = leafText(value);
  return text.length > 24 ? `${text.slice(0, 23)}\u2026` : text;
}

function openLines(value) {
  return treeLines(value, 0).map(([depth, name, text]) => {
    const line = element("div", { class: "sm-open", style: `padding-left:${12 + depth * 12}px` });
    line.append(element("i", {}, name), " ", text === "NULL" ? element("span", { class: "sm-null" }, text) : text);
    return line;
  });
}

/** The lines of an opened value: depth, name, text. */
function treeLines(value, depth) {
  const pairs = value.s ?? value.l.map((item, i) => [String(i + 1), item]);
  return pairs.flatMap(([name, v]) => {
    const isNested = v !== null && typeof v === "object" && (v.s || v.l);
    return isNested ? [[depth, name, shortText(v)], ...treeLines(v, depth + 1)] : [[depth, name, leafText(v)]];
  });
}
