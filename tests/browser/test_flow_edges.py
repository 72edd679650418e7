"""Edges of the flow graph keep off the cards that they do not belong to: drawn in a page of their own, without a kernel."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from browser.test_views import shoot
from stream_magic.contracts.feed import FeedStatus, GraphNode
from stream_magic.contracts.feedkit import HandAppFeed
from stream_magic.views.assets import script, style
from stream_magic.views.flow_graph import app_bar, node_message

pytestmark = pytest.mark.browser

PAGE = """
<style>{style} body {{ margin: 16px; background: {paper}; }}</style><body data-jp-theme-light="{light}"><div id="at"></div>
<script type="module">
const state = {state};
const model = {{ get: (name) => state[name], on() {{}}, off() {{}}, send() {{}} }};
{script}
</script>
"""

# Points of every edge that lie in a card which is neither its start nor its end.
HIDDEN = """
() => {
  const cards = [...document.querySelectorAll(".sm-node")].map((n) => ({ name: n.dataset.name, x: n.offsetLeft, y: n.offsetTop, w: n.offsetWidth, h: n.offsetHeight }));
  return [...document.querySelectorAll("path.sm-lookup")].map((path) => {
    const within = (p, card) => p.x > card.x + 1 && p.x < card.x + card.w - 1 && p.y > card.y + 1 && p.y < card.y + card.h - 1;
    const long = path.getTotalLength();
    const points = Array.from({ length: 200 }, (_, i) => path.getPointAtLength((long * i) / 199));
    return [...new Set(points.flatMap((p) => cards.filter((c) => within(p, c)).map((c) => c.name)))];
  });
}
"""


def node(name: str, kind: Any, inputs: str = "", lookups: str = "") -> GraphNode:
    status = FeedStatus("running", 18204, 412.0, 0.09, 0, 1)
    caches = tuple(lookups.split())
    return GraphNode(name, kind, f"of {name}", (*inputs.split(), *caches), caches, status)


CHAIN = [
    node("orders", "source"),
    node("products", "cache"),
    node("enriched", "stream", "orders", "products"),
    node("valued", "stream", "enriched"),
    node("again", "stream", "valued", "products"),
    node("to_kafka", "target", "again"),
]
BESIDE = [
    node("orders", "source"),
    node("clicks", "source"),
    node("visits", "source"),
    node("products", "cache"),
    node("bought", "stream", "orders", "products"),
    node("clicked", "stream", "clicks"),
    node("visited", "stream", "visits", "products"),
    node("both", "stream", "bought clicked"),
    node("known", "stream", "both", "products"),
    node("files", "target", "known"),
    node("to_kafka", "target", "visited"),
]
SEVERAL = [
    node("orders", "source"),
    node("products", "cache"),
    node("prices", "cache"),
    node("shops", "cache"),
    node("enriched", "stream", "orders", "products prices shops"),
    node("priced", "stream", "enriched", "prices"),
    node("per_shop", "table", "priced", "shops"),
    node("per_brand", "table", "priced", "products"),
    node("files", "target", "per_shop"),
]


def draw(page: Page, nodes: list[GraphNode], *, light: bool) -> None:
    state = {
        "bar": app_bar(HandAppFeed("shop", nodes), nodes),
        "nodes": list(map(node_message, nodes)),
    }
    module = script("flow.js").replace("export default", "const view =")
    page.set_content(
        PAGE.format(
            style=style("flow.css"), paper="#fff" if light else "#111", light=str(light).lower(), state=json.dumps(state),
            script=f'{module}\nview.render({{ model, el: document.getElementById("at") }});',
        )
    )  # fmt: skip
    page.locator(".sm-node").first.wait_for()


@pytest.mark.parametrize("width", [1100, 640])
@pytest.mark.parametrize(
    ("name", "nodes"), [("chain", CHAIN), ("beside", BESIDE), ("several", SEVERAL)]
)
def test_a_lookup_is_not_drawn_behind_cards(
    page: Page, name: str, nodes: list[GraphNode], width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 760})
    for light in (True, False):
        draw(page, nodes, light=light)
        shoot(page, f"lookups-{name}-{width}-{'light' if light else 'dark'}")
        hidden = page.evaluate(HIDDEN)
        assert len(hidden) == sum(len(n.lookups) for n in nodes)
        assert hidden == [[]] * len(hidden)
