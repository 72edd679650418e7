import { Bar } from "./bar.js";
import { element } from "./dom.js";
import { icon } from "./icons.js";

const BANNER_ICONS = { error: "error", warn: "refresh", neutral: "info" };
const DIMMED = new Set(["reconnecting", "stale"]);

/** The frame of a view: bar, banner, body with its content or a message, footer. */
export class Frame {
  constructor(root, onAction) {
    this.root = root;
    this.bar = new Bar(onAction);
    this.bannerPlace = element("div", {});
    this.content = element("div", { class: "sm-content" });
    this.messagePlace = element("div", {});
    this.body = element("div", { class: "sm-body" }, this.content, this.messagePlace);
    this.foot = element("div", { class: "sm-foot" });
    root.classList.add("sm-root");
    root.setAttribute("role", "region");
    root.replaceChildren(this.bar.node, this.bannerPlace, this.body, this.foot);
  }

  update(bar) {
    this.root.setAttribute("aria-label", bar.name);
    this.bar.update(bar);
    this.body.classList.toggle("sm-dim", DIMMED.has(bar.state));
    this.setBanner(bar.banner);
  }

  setBanner(banner) {
    const drawn = JSON.stringify(banner ?? null);
    if (this.bannerPlace.dataset.drawn === drawn) return;
    this.bannerPlace.dataset.drawn = drawn;
    this.bannerPlace.replaceChildren();
    if (!banner) return;
    const role = banner.tone === "error" ? "alert" : "status";
    this.bannerPlace.append(element("div", { class: `sm-banner sm-tone-${banner.tone}`, role }, icon(BANNER_ICONS[banner.tone], 14), element("span", {}, banner.text)));
  }

  /** Puts a message, or loading rows, in place of the content; null shows the content. */
  setMessage(message) {
    const drawn = JSON.stringify(message ?? null);
    if (this.messagePlace.dataset.drawn === drawn) return;
    this.messagePlace.dataset.drawn = drawn;
    this.messagePlace.replaceChildren(...(message ? messageNodes(message) : []));
  }
}

function messageNodes(message) {
  if (message.isLoading) return skeleton();
  const text = element("div", {}, element("strong", {}, message.title), element("p", {}, message.text));
  return [element("div", { class: "sm-message", role: "status" }, icon("clock", 16), text)];
}

function skeleton() {
  const progress = element("div", { class: "sm-progress", role: "progressbar", "aria-label": "Reading rows" }, element("i", {}));
  const rows = [0.8, 0.6, 0.9, 0.5, 0.7].map((share) => {
    const widths = [60, share * 110, share * 40 + 10, share * 64];
    return element("div", { class: "sm-skeleton" }, ...widths.map((w) => element("i", { style: `width:${Math.round(w)}px` })));
  });
  return [progress, ...rows];
}

/** What a bar says when its kernel is gone. */
export function staleBar(bar, since) {
  const banner = { tone: "neutral", text: `Values from ${since}. The kernel is gone: run the cell again to go on.` };
  return { ...bar, state: "stale", word: "Stale", metrics: bar.metrics.slice(0, 1), banner };
}
