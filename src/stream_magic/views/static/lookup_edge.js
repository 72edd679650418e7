import { channel, rounded, standingBetween } from "./ways.js";

const TIP = 6;
const OFF = 12; // a line beside a row of cards keeps this distance

/**
 * From a cache to a card that looks it up, into its side at height `by`: straight if nothing stands
 * between, else around the cards, `shift` beside the middle of the gaps. A cache never stands below its users.
 */
export function lookupWay(a, b, by, boxes, gap, shift) {
  const way = straight(a, b, by, boxes) ?? around(a, b, by, boxes, gap, shift);
  const [bx, isRight] = [way.end, way.isRight];
  return { ...way, tip: isRight ? `M${bx - 2} ${by - 4}l7 4l-7 4z` : `M${bx + 2} ${by - 4}l-7 4l7 4z` };
}

function straight(a, b, by, boxes) {
  const isRight = a.x < b.x;
  const [ax, bx] = isRight ? [a.x + a.w, b.x - TIP] : [a.x, b.x + b.w + TIP];
  const ay = a.y + a.h / 2;
  const [left, right] = [Math.min(ax, bx), Math.max(ax, bx)];
  const [top, foot] = [Math.min(ay, by), Math.max(ay, by)];
  const isInWay = (box) => box !== a && box !== b && box.x < right && box.x + box.w > left && box.y < foot + 4 && box.y + box.h > top - 4;
  const isBackward = isRight ? bx < ax : bx > ax;
  if (isBackward || Object.values(boxes).some(isInWay)) return null;
  const half = (bx - ax) / 2;
  const d = ay === by ? `M${ax} ${ay}H${bx}` : `M${ax} ${ay}C${ax + half} ${ay} ${bx - half} ${by} ${bx} ${by}`;
  return { d, end: bx, isRight, label: [(ax + bx) / 2, (ay + by) / 2], room: right - left };
}

/** Along the row of the cache (above it, if the user stands in it too), down between the cards, into the nearer side. */
function around(a, b, by, boxes, gap, shift) {
  const isRight = b.x + b.w / 2 >= a.x + a.w / 2;
  const side = (isRight ? 1 : -1) * (gap / 2);
  const ax = isRight ? a.x + a.w : a.x;
  const isPast = isRight ? b.x - side > ax + side : b.x + b.w - side < ax + side;
  const isLeftSide = isPast === isRight;
  const bx = isLeftSide ? b.x : b.x + b.w;
  const beside = (isLeftSide ? bx - gap / 2 : bx + gap / 2) + shift;
  const out = ax + side;
  const ay = a.y + a.h / 2;
  const along = (b.y === a.y ? a.y - OFF : a.y + a.h + OFF) + shift;
  const between = standingBetween(boxes, a.y + a.h, b.y);
  const through = between.length ? channel(between, out, beside - shift, gap) + shift : beside;
  const last = between.length ? b.y - OFF + shift : along;
  const end = isLeftSide ? bx - TIP : bx + TIP;
  const d = rounded([[ax, ay], [out, ay], [out, along], [through, along], [through, last], [beside, last], [beside, by], [end, by]]);
  return { d, end, isRight: isLeftSide, label: [(out + through) / 2, along], room: Math.abs(through - out) };
}
