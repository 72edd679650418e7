"""`%stream`."""

from __future__ import annotations

import pytest

from stream_magic.magics.commands import COMMANDS, LATER
from unit.magics.conftest import Cells


def test_status_names_every_node_with_its_figures(orders: Cells):
    orders.app.push("orders", [{"id": i, "amount": float(i)} for i in range(21)])
    orders.app.drain()
    text = repr(orders.ok("%stream status").value)
    lines = text.splitlines()
    assert lines[0].startswith("main: running, epoch ")
    assert lines[1].split()[:7] == ["node", "kind", "state", "rows", "in", "rows", "out"]
    assert lines[2].split()[:5] == ["orders", "source", "running", "21", "21"]
    assert lines[3].split()[:5] == ["big", "stream", "running", "21", "10"]


def test_status_is_a_table_in_a_notebook(orders: Cells):
    html = orders.ok("%stream status").value._repr_html_()
    assert html.count("<tr>") == 3
    assert "orders" in html


def test_a_failed_node_says_why(orders: Cells):
    orders.app._engine.flow["big"].failure = "Out of <memory>"
    assert "Out of <memory>" in repr(orders.ok("%stream status").value)
    assert "Out of &lt;memory&gt;" in orders.ok("%stream status").value._repr_html_()


def test_pause_step_and_resume(orders: Cells):
    orders.ok("%stream pause")
    epoch = orders.app.epoch
    orders.app.push("orders", [{"id": 1, "amount": 20.0}])
    assert str(epoch + 1) in repr(orders.ok("%stream step").value)
    assert orders.app["big"].preview().num_rows == 1
    orders.ok("%stream resume")
    assert not orders.app.is_paused
    assert "pause it first" in orders.fails("%stream step")


def test_a_stopped_app_is_not_paused_and_start_ends_a_pause(orders: Cells):
    orders.ok("%stream pause")
    orders.ok("%stream start")
    assert not orders.app.is_paused
    orders.ok("%stream stop")
    assert "is stopped already" in repr(orders.ok("%stream pause").value)
    assert not orders.app.is_paused


def test_preview_shows_as_many_rows_as_asked(orders: Cells):
    orders.app.push("orders", [{"id": i, "amount": 20.0} for i in range(5)])
    orders.app.drain()
    rows = orders.ok("%stream preview big 2").value
    assert rows.arrow["id"].to_pylist() == [3, 4]
    assert list(rows.df()["id"]) == [3, 4]
    assert "is no number of rows" in orders.fails("%stream preview big many")


def test_errors_of_one_node_and_of_all(orders: Cells):
    assert repr(orders.ok("%stream errors").value) == "main has no errors"
    assert orders.ok("%stream errors big").value.arrow.num_rows == 0
    orders.ok("%%stream\nCREATE STREAM bad AS SELECT CAST(item.name AS INT) AS n FROM orders")
    orders.app.push("orders", [{"id": 1, "amount": 20.0, "item": {"name": "xyz", "size": None}}])
    orders.app.drain()
    assert "xyz" in orders.ok("%stream errors bad").value.arrow["reason"][0].as_py()
    every = orders.ok("%stream errors").value.arrow
    assert every["node"].to_pylist() == ["bad"]


def test_drop_describe_and_explain_point_into_the_line(orders: Cells):
    assert "amount" in repr(orders.ok("%stream describe big").value)
    assert "amount > 10" in repr(orders.ok("%stream explain big").value)
    assert "rows in" not in repr(orders.ok("%stream explain big").value)
    assert "rows in" in repr(orders.ok("%stream explain big --analyze").value)
    assert "no option --analyze" in orders.fails("%stream describe big --analyze")
    assert "topic" in repr(orders.ok("%stream describe connector kafka").value)
    message = orders.fails("%stream describe bigg")
    assert "  1 | %stream describe bigg\n    |                  ^^^^" in message
    assert "drop big first" in orders.fails("%stream drop orders")
    assert repr(orders.ok("%stream drop big").value) == "big is gone"
    assert "big" not in orders.app


def test_a_word_that_is_no_command_names_the_one_that_was_meant(orders: Cells):
    assert "did you mean 'status'?" in orders.fails("%stream statsu")
    assert "no option --ap" in orders.fails("%stream status --ap main")
    assert "write %stream preview NAME [ROWS]" in orders.fails("%stream preview")
    assert "has no use for 'now'" in orders.fails("%stream stop now")


@pytest.mark.parametrize("word", LATER)
def test_what_is_not_there_yet_says_so(orders: Cells, word: str):
    assert f"%stream {word} is not there yet" in orders.fails(f"%stream {word}")


def test_help_lists_every_command(cells: Cells):
    text = repr(cells.ok("%stream help").value)
    assert repr(cells.ok("%stream").value) == text
    assert all(c.usage in text and c.doc in text for c in COMMANDS.values())


def test_help_explains_codes_commands_connectors_and_formats(cells: Cells):
    assert "a name or a type does not fit" in repr(cells.ok("%stream help SM2003").value)
    assert "tried again" not in repr(cells.ok("%stream help sm6001").value)
    assert "A target did not take" in repr(cells.ok("%stream help sm6001").value)
    assert "%stream preview NAME [ROWS]" in repr(cells.ok("%stream help preview").value)
    assert "topic" in repr(cells.ok("%stream help kafka").value)
    assert "delimiter" in repr(cells.ok("%stream help csv").value)
    assert "did you mean 'kafka'?" in cells.fails("%stream help kafk")


def test_commands_before_any_app_say_what_to_run_first(cells: Cells):
    assert "run a %%stream cell first" in cells.fails("%stream status")
