"""`%%stream` and `%%cq` in a shell without a kernel."""

from __future__ import annotations

from typing import Any

import ipywidgets
import pytest
from IPython.core.interactiveshell import InteractiveShell

from stream_magic.app.app import App
from stream_magic.app.session import session
from unit.magics.conftest import ORDERS, Cells


def names(cells: Cells) -> list[str]:
    return list(cells.app.status())


def test_a_cell_starts_its_app_and_shows_the_flow_graph(cells: Cells):
    ran = cells.ok(ORDERS)
    assert cells.app.is_started
    assert type(ran.shown[0].data).__name__ == "dict"
    assert "orders" in ran.text
    assert "big" in ran.text
    assert ran.value is None


def test_loading_twice_is_harmless(orders: Cells):
    orders.ok("%load_ext stream_magic")
    orders.ok("%reload_ext stream_magic")
    orders.ok(ORDERS)
    assert names(orders) == ["orders", "big"]


def test_a_mistake_in_the_third_statement_applies_nothing_and_points_at_the_line_of_the_cell(
    cells: Cells,
):
    message = cells.fails(
        "%%stream\n"
        "CREATE SOURCE s (id INT) WITH (connector = 'memory');\n"
        "CREATE STREAM a AS SELECT id FROM s;\n"
        "CREATE STREAM b AS SELECT id FROM ss;"
    )
    assert message == (
        "CellError: SM2002 there is no stream, table or cache 'ss'\n"
        "  4 | CREATE STREAM b AS SELECT id FROM ss;\n"
        "    |                                   ^^\n"
        "hint: did you mean 's'?\n\n"
        "Nothing in this cell was applied."
    )
    assert names(cells) == []
    assert not cells.app.is_started


def test_all_mistakes_of_a_cell_are_said_at_once(cells: Cells):
    message = cells.fails("%%stream\nCREAT SOURCE s;\nSHOW NONSENSE;")
    assert "  2 | CREAT SOURCE s;" in message
    assert "  3 | SHOW NONSENSE;" in message
    assert message.count("Nothing in this cell was applied.") == 1


def test_empty_lines_above_the_magic_count_too(orders: Cells):
    message = orders.fails("\n\n%%stream\nCREATE STREAM x AS SELECT id FROM nowhere")
    assert "  4 | CREATE STREAM x" in message


def test_a_query_cell_points_at_its_own_lines(orders: Cells):
    message = orders.fails("%%cq x\nSELECT id\nFROM ordrs")
    assert "  3 | FROM ordrs\n    |      ^^^^^" in message
    assert message.endswith("Nothing in this cell was applied.")
    assert "x" not in orders.app


def test_running_a_cell_again_changes_nothing(orders: Cells):
    orders.app.push("orders", [{"id": 1, "amount": 20.0}])
    orders.app.drain()
    nodes = {n: orders.app._engine.flow[n] for n in names(orders)}
    orders.ok(ORDERS)
    assert {n: orders.app._engine.flow[n] for n in names(orders)} == nodes
    assert orders.app["big"].preview().num_rows == 1


def test_a_changed_statement_replaces_what_reads_it_and_nothing_else(orders: Cells):
    orders.ok("%%stream\nCREATE STREAM doubled AS SELECT id, amount * 2 AS twice FROM big")
    orders.ok("%%stream\nCREATE STREAM small AS SELECT id FROM orders WHERE amount <= 10")
    before = {n: orders.app._engine.flow[n] for n in names(orders)}
    orders.ok(ORDERS.replace("> 10", "> 15"))
    after = {n: orders.app._engine.flow[n] for n in names(orders)}
    assert {n for n in before if after[n] is not before[n]} == {"big", "doubled"}


def test_the_last_statement_shows_its_table_or_text(orders: Cells):
    shown = orders.ok("%%stream\nSHOW ALL")
    assert "big" in shown.text
    assert "<table" in shown.shown[0].data["text/html"]
    assert "amount  DOUBLE" in orders.ok("%%stream\nDESCRIBE big").text
    assert "WHERE amount > 10" in orders.ok("%%stream\nEXPLAIN big").text
    orders.app.push("orders", [{"id": 7, "amount": 20.0}])
    orders.app.drain()
    assert orders.ok("%%stream\nSELECT id, amount FROM big").text.endswith("\n 7      20")


def test_stop_holds_until_start(orders: Cells):
    orders.ok("%stream stop")
    orders.ok("%%stream\nCREATE STREAM other AS SELECT id FROM orders")
    orders.ok("%%cq again\nSELECT id FROM orders")
    assert not orders.app.is_started
    orders.ok("%stream start")
    orders.ok("%stream stop")
    orders.ok("%stream start")
    assert orders.app.is_started


def test_an_app_by_name_is_the_newest_of_that_name(cells: Cells):
    old, new = App("shop"), App("shop")
    cells.ok(ORDERS.replace("%%stream", "%%stream shop"))
    assert "orders" in new
    assert "orders" not in old
    assert cells.ok("app = %stream app\napp").value is new


def test_cq_and_lines_speak_to_the_app_of_the_last_stream_cell(cells: Cells):
    cells.ok(ORDERS.replace("%%stream", "%%stream shop"))
    cells.ok(ORDERS.replace("%%stream", "%%stream depot").replace("big", "large"))
    cells.ok("%%cq q\nSELECT id FROM large")
    cells.ok("%%cq r --app shop\nSELECT id FROM big")
    shop, depot = session().find("shop"), session().find("depot")
    assert shop is not None
    assert depot is not None
    assert ("q" in depot, "q" in shop, "r" in depot, "r" in shop) == (True, False, False, True)
    assert "did you mean 'shop'?" in cells.fails("%%cq x --app shp\nSELECT id FROM big")
    assert "there is no app 'shp'" in cells.fails("%stream status --app shp")


def test_a_named_query_is_a_stream_for_other_cells(orders: Cells):
    orders.ok("%%cq total\nSELECT sum(amount) AS total FROM big")
    orders.ok("%%cq more\nSELECT total + 1 AS more FROM total")
    orders.app.push("orders", [{"id": 1, "amount": 20.0}])
    orders.app.drain()
    assert orders.app["more"].preview().to_pylist() == [{"more": 21.0}]


def test_an_unnamed_query_belongs_to_its_cell(orders: Cells):
    orders.ok("%%cq\nSELECT id FROM big", "cell-a")
    orders.ok("%%cq\nSELECT amount FROM big", "cell-b")
    assert names(orders)[2:] == ["cq_1", "cq_2"]
    node = orders.app._engine.flow["cq_1"]
    orders.ok("%%cq\nSELECT id FROM big", "cell-a")
    assert orders.app._engine.flow["cq_1"] is node
    orders.ok("%%cq\nSELECT id + 1 AS id FROM big", "cell-a")
    assert orders.app._engine.flow["cq_1"] is not node
    orders.ok("%%cq named\nSELECT id FROM big", "cell-b")
    assert sorted(names(orders)[2:]) == ["cq_1", "named"]


def test_an_unnamed_query_stays_in_its_app_until_its_cell_has_one_in_another(orders: Cells):
    orders.ok("%%cq\nSELECT id FROM big", "cell-a")
    orders.ok(ORDERS.replace("%%stream", "%%stream depot"))
    orders.fails("%%cq --app depot\nSELECT nothing FROM big", "cell-a")
    assert "cq_1" in orders.app
    orders.ok("%%cq --app depot\nSELECT id FROM big", "cell-a")
    assert "cq_1" not in orders.app


def test_without_cell_ids_the_same_text_is_the_same_query(orders: Cells):
    orders.ok("%%cq\nSELECT id FROM big")
    orders.ok("%%cq\nSELECT id\n  FROM big")
    assert len(names(orders)) == 3


def test_an_unnamed_query_goes_with_its_deleted_cell(orders: Cells):
    orders.ok("%%cq\nSELECT id FROM big", "cell-a")
    orders.shell.events.trigger("pre_run_cell", Info("cell-b", {"deletedCells": ["cell-a"]}))
    assert names(orders) == ["orders", "big"]


class Info:
    def __init__(self, cell_id: str, meta: dict[str, Any]) -> None:
        self.cell_id, self.cell_meta, self.raw_cell = cell_id, meta, ""


def test_the_view_that_a_cell_showed_before_is_closed(orders: Cells):
    def tables() -> int:
        there = list(ipywidgets.widget._instances.values())
        return sum(type(w).__name__ == "LiveTable" for w in there)

    orders.ok("%%cq q\nSELECT id FROM big", "cell-a")
    before = tables()
    for _ in range(3):
        orders.ok("%%cq q\nSELECT id FROM big", "cell-a")
    assert tables() == before


def test_once_shows_a_snapshot_and_makes_no_node(orders: Cells):
    orders.app.push("orders", [{"id": 3, "amount": 30.0}])
    orders.app.drain()
    ran = orders.ok("%%cq --once\nSELECT id, amount FROM big")
    assert ran.text == "1 row\nid  amount\n 3      30"
    assert names(orders) == ["orders", "big"]


def test_a_snapshot_that_fails_on_its_rows_is_one_sentence(orders: Cells):
    orders.app.push("orders", [{"id": 3, "amount": 30.0, "item": {"name": "x", "size": None}}])
    orders.app.drain()
    message = orders.fails("%%cq --once\nSELECT CAST(item.name AS INT) FROM orders")
    assert message.startswith("CellError: SM5900 the query fails on its rows: Conversion Error")


def test_mistakes_on_the_line_say_what_was_meant_and_apply_nothing(orders: Cells):
    for line, said in [
        ("total --chrat line", "did you mean --chart?"),
        ("total --chart lne", "did you mean 'line'?"),
        ("total --chart line --colour id", "did you mean --color?"),
        ("total --x id", "add --chart line"),
        ("total --chart line --last soon", "option last: "),
        ("total twice", "%%cq has no use for 'twice'"),
        ("to-tal", "cannot name a query"),
        ("total --chart line --x nothing", "has no column 'nothing'"),
    ]:
        message = orders.fails(f"%%cq {line}\nSELECT id, amount FROM big")
        assert said in message
        assert message.endswith("Nothing in this cell was applied.")
    assert names(orders) == ["orders", "big"]


def test_a_query_does_not_take_the_name_of_a_source_or_target(orders: Cells):
    orders.ok("%%stream\nCREATE TARGET kept FROM big WITH (connector = 'memory')")
    assert "kept is a target" in orders.fails("%%cq kept\nSELECT id FROM big")
    assert "orders is a source" in orders.fails("%%cq Orders\nSELECT id FROM big").lower()
    assert orders.app.status()["kept"]["kind"] == "target"


def test_what_stands_below_a_changed_statement_is_built_anew(orders: Cells):
    total = "\nCREATE TABLE IF NOT EXISTS total AS SELECT sum(amount) AS total FROM big;"
    orders.ok(ORDERS + total)
    orders.app.push("orders", [{"id": i, "amount": 10.0 * i} for i in range(4)])
    orders.app.drain()
    orders.ok(ORDERS.replace("> 10", "> 20") + total)
    assert orders.app["total"].preview().to_pylist() == [{"total": 30.0}]
    assert orders.ok("%stream status").value is not None
    orders.app.push("orders", [{"id": 9, "amount": 100.0}])
    orders.app.drain()
    assert orders.app["total"].preview().to_pylist() == [{"total": 130.0}]


@pytest.mark.parametrize("cell_id", [None, "cell-a"])
@pytest.mark.parametrize("name", ["total", ""])
def test_a_chart_that_does_not_fit_leaves_a_running_query_alone(
    orders: Cells, name: str, cell_id: str | None
):
    orders.ok(f"%%cq {name}\nSELECT id, amount FROM big", cell_id)
    before = {n: orders.app._engine.flow[n] for n in names(orders)}
    message = orders.fails(
        f"%%cq {name} --chart line --x nothing\nSELECT id + 1 AS id, amount FROM big", cell_id
    )
    assert "has no column 'nothing'" in message
    assert message.endswith("Nothing in this cell was applied.")
    assert {n: orders.app._engine.flow[n] for n in names(orders)} == before


def test_a_chart_is_checked_against_the_columns_that_the_changed_query_will_have(orders: Cells):
    orders.ok("%%cq total --chart line --x id\nSELECT id, amount FROM big")
    message = orders.fails("%%cq total --chart line --x id\nSELECT amount FROM big")
    assert "x: total has no column 'id'" in message
    orders.ok("%%cq total --chart line --x n\nSELECT id AS n, amount FROM big")
    assert orders.app["total"].schema.names == ["n", "amount"]


def test_a_chart_is_shown_in_place_of_the_table(orders: Cells):
    ran = orders.ok("%%cq total --chart line --x id --y amount\nSELECT id, amount FROM big")
    assert len(ran.shown) == 1
    assert "application/vnd.jupyter.widget-view+json" in ran.shown[0].data


def test_warnings_stand_below_in_words(orders: Cells):
    orders.app.warnings = []

    def warn(name: str, text: str, _check: Any) -> Any:
        made = App.create_query(orders.app, name, text)
        orders.app.warnings = ["q: add a time bound"]
        return made

    orders.app.create_query = warn  # type: ignore[method-assign]
    ran = orders.ok("%%cq q\nSELECT id FROM big")
    assert ran.shown[-1].data["text/plain"] == "note: q: add a time bound"


def test_unloading_stops_every_app_and_takes_the_magics_away():
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "stream_magic")
    cells = Cells(shell)
    cells.ok(ORDERS)
    app = cells.app
    cells.ok("%unload_ext stream_magic")
    assert not app.is_started
    assert session().apps() == []
    assert "cq" not in shell.magics_manager.magics["cell"]
    assert shell.Completer.custom_matchers == []
    InteractiveShell.clear_instance()
