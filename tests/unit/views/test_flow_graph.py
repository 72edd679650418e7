from __future__ import annotations

from stream_magic import views
from stream_magic.contracts.feed import FeedStatus, GraphNode
from stream_magic.contracts.feedkit import HandAppFeed
from stream_magic.views.flow_graph import FlowGraph, app_state


def node(name, kind="stream", inputs=(), lookups=(), state="running", rate=0.0, **status):
    figures = {"rows": 0, "lag_s": None, "errors": 0, "epoch": 1, "message": ""} | status
    return GraphNode(
        name, kind, "detail", tuple(inputs), tuple(lookups),
        FeedStatus(state=state, rows_per_s=rate, **figures),
    )  # fmt: skip


SHOP = [
    node("orders", "source", rate=412, lag_s=0.086),
    node("products", "cache", rows=18_204, lag_s=130, state="complete"),
    node("enriched", inputs=["orders", "products"], lookups=["products"], rate=412, errors=3),
    node("to_kafka", "target", ["enriched"], rate=0.8, lag_s=14.2),
]


def test_the_bar_sums_what_comes_in_and_goes_out(wire, pump) -> None:
    graph = FlowGraph(HandAppFeed("shop", SHOP), pump=pump)
    assert graph.bar["kind"] == "app, 4 nodes"
    assert graph.bar["metrics"] == [
        ["412", "rows/s in"], ["0.8", "rows/s out"], ["14 s", "lag"], ["0", "epoch"],
    ]  # fmt: skip
    assert graph.bar["chips"] == [["3 errors in enriched", "error"]]
    assert graph.bar["state"] == "running"


def test_caches_are_lookups_and_not_inputs(wire, pump) -> None:
    graph = FlowGraph(HandAppFeed("shop", SHOP), pump=pump)
    cards = {n["name"]: n for n in graph.nodes}
    assert cards["enriched"]["inputs"] == ["orders"]
    assert cards["enriched"]["lookups"] == ["products"]
    assert cards["products"]["rate_text"] == "18,204 keys"
    assert cards["products"]["lag"] == "2 min 10 s ago"


def test_many_changes_between_two_ticks_are_one_message(wire, pump) -> None:
    feed = HandAppFeed("shop", SHOP)
    graph = FlowGraph(feed, pump=pump)
    pump.turn()
    wire.clear()
    for i in range(100):
        feed.set([*SHOP, node("late", rate=i)])
    pump.turn()
    (update,) = wire.updates(graph.comm.comm_id)
    assert update["nodes"][-1]["rate_text"] == "99/s"


def test_trouble_is_named_with_its_message(wire, pump) -> None:
    feed = HandAppFeed(
        "shop", [node("orders", "source", state="reconnecting", message="Attempt 3.")]
    )
    graph = FlowGraph(feed, pump=pump)
    assert graph.bar["state"] == "reconnecting"
    assert graph.bar["chips"] == [["orders reconnects", "warn"]]
    assert graph.bar["problems"][0]["text"] == "Attempt 3."


def test_the_buttons_reach_the_app(wire, pump) -> None:
    feed = HandAppFeed("shop", SHOP)
    graph = FlowGraph(feed, pump=pump)
    graph._handle_custom_msg({"what": "pause"}, [])
    pump.turn()
    assert (feed.is_paused, graph.bar["state"]) == (True, "paused")
    before = feed.version
    graph._handle_custom_msg({"what": "step"}, [])
    assert feed.version == before + 1
    graph._handle_custom_msg({"what": "resume"}, [])
    assert not feed.is_paused


def test_the_whole_is_as_bad_as_its_worst_node() -> None:
    assert app_state([], is_paused=False) == "waiting"
    assert app_state([node("a"), node("b", state="failed")], is_paused=False) == "failed"
    assert app_state([node("a", state="complete")], is_paused=False) == "complete"


def test_hosts_without_widgets_get_the_app_in_words(wire) -> None:
    data, _ = views.show_app(HandAppFeed("shop", SHOP))._repr_mimebundle_()
    lines = data["text/plain"].splitlines()
    assert lines[0] == "shop: 4 nodes, epoch 0"
    assert lines[3] == "  stream enriched <- orders, products: running, 0 rows, 412/s"
