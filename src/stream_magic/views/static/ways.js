/** An x where nothing stands in the way of a line through these cards: nearest to its end, then to its start. */
export function channel(between, ax, bx, gap) {
  const [side, least] = [gap / 2, Math.min(8, gap / 2 - 1)];
  const isFree = (x) => between.every((box) => x < box.x - least || x > box.x + box.w + least);
  const gaps = between.flatMap((box) => [box.x - side, box.x + box.w + side]);
  const near = gaps.filter(isFree).sort((p, q) => Math.abs(p - bx) + Math.abs(p - ax) - Math.abs(q - bx) - Math.abs(q - ax));
  return [bx, ax, ...near].find(isFree) ?? bx;
}

/** Cards that stand between two rows. */
export function standingBetween(boxes, top, foot) {
  return Object.values(boxes).filter((box) => box.y > top && box.y + box.h < foot);
}

/** A path along points, with round corners. */
export function rounded(points, radius = 8) {
  const towards = ([x, y], [toX, toY]) => {
    const long = Math.hypot(toX - x, toY - y);
    const part = long ? Math.min(radius, long / 2) / long : 0;
    return `${x + (toX - x) * part} ${y + (toY - y) * part}`;
  };
  const corners = points.slice(1, -1).map((at, i) => `L${towards(at, points[i])}Q${at[0]} ${at[1]} ${towards(at, points[i + 2])}`);
  return `M${points[0].join(" ")}${corners.join("")}L${points.at(-1).join(" ")}`;
}
