"""Tab. A bar in the text is the cursor."""

from __future__ import annotations

import pytest
from IPython.core.completer import provisionalcompleter

from stream_magic import udf
from stream_magic.language.parser import words
from stream_magic.magics.completion import statement
from support.python_functions import _functions  # noqa: F401
from unit.magics.conftest import Cells


def offers(cells: Cells, text: str) -> list[str]:
    place = text.index("|")
    source = text[:place] + text[place + 1 :]
    with provisionalcompleter():
        found = list(cells.shell.Completer.completions(source, place))
    return [c.text for c in found if c._origin == "stream_magic"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%%stream\nCR|", ["CREATE"]),
        ("%%stream\nCREATE S|", ["SOURCE", "STREAM", "SECRET"]),
        ("%%stream\nCREATE STREAM x AS SELECT * FROM |", ["orders", "big", "TUMBLE(", "errors."]),
        ("%%stream\nCREATE STREAM x AS SELECT * FROM errors.|", ["orders", "big"]),
        ("%%stream\nCREATE TARGET x FROM b|", ["big"]),
        ("%%stream\nCREATE STREAM new AS SELECT 1;\nSELECT * FROM ne|", ["new"]),
        ("%%stream\nDROP STREAM |", ["orders", "big"]),
        ("%%cq\nSELECT am| FROM big", ["amount"]),
        ("%%cq x\nSELECT b.| FROM big b", ["id", "amount"]),
        ("%%cq x\nSELECT o.item.| FROM orders AS o WHERE 1", ["name", "size"]),
        ("%%cq x\nSELECT item.size.h| FROM orders", ["height"]),
        ("%%cq x\nSELECT win| FROM TUMBLE(orders, ts, INTERVAL 1 SECOND)", ["window_start", "window_end"]),
        ("%%cq x\nSELECT 1 FROM TUMBLE(b|", ["big"]),
        ("%%cq x\nSEL|", ["SELECT"]),
        ("%%stream\nCREATE SOURCE s WITH (con|", ["connector = '"]),
        ("%%stream\nCREATE SOURCE s WITH (connector = 'gen|", ["generator"]),
        ("%%stream\nCREATE TARGET t FROM big WITH (connector = 'f|", ["file"]),
        ("%%stream\nCREATE CACHE c KEY (k) WITH (connector = 'f|", ["file"]),
        ("%%stream\nCREATE SOURCE s WITH (connector = 'kafka', to|", ["topic = "]),
        ("%%stream\nCREATE SOURCE s WITH (connector = 'kafka', topic = 'a;b', bro|", ["brokers = "]),
        ("%%stream\nCREATE SOURCE s WITH (connector = 'generator', template = 'pro|", ["products"]),
        ("%%stream\nCREATE TARGET t FROM big WITH (connector = 'file') FORMAT c|", ["csv"]),
        ("%%stream\nCREATE TARGET t FROM big WITH (connector = 'file') FORMAT csv (d|", ["delimiter = "]),
        ("%%stream\nCREATE SOURCE s (id BIGI|", ["BIGINT"]),
        ("%%cq x --ch|", ["--chart"]),
        ("%%cq x --chart l|", ["line"]),
        ("%%cq x --chart line --co|\nSELECT 1", ["--color"]),
        ("%%cq x --chart line --x to|\nSELECT sum(a) AS total", ["total"]),
        ("%stream pre|", ["preview"]),
        ("%stream preview |", ["orders", "big"]),
        ("x = 1\n%stream stat|", ["status"]),
        ("%stream status --app |", ["main"]),
    ],
)  # fmt: skip
def test_tab_offers(orders: Cells, text: str, expected: list[str]):
    assert offers(orders, text) == expected


@pytest.mark.parametrize(
    "text",
    ["x = or|", "%%stream\n-- a comment about or|", "%%stream\nSELECT 'or|", "%%time\nFROM or|"],
)
def test_tab_is_silent_where_nothing_of_ours_can_stand(orders: Cells, text: str):
    assert offers(orders, text) == []


@pytest.mark.usefixtures("_functions")
def test_tab_offers_python_functions(orders: Cells):
    @udf
    def netted(price: float) -> float:
        return price

    assert offers(orders, "%%cq\nSELECT nett| FROM big") == ["netted("]


def test_tab_works_before_there_is_an_app(cells: Cells):
    assert offers(cells, "%%stream\nCREATE SOURCE s WITH (connector = 'k|") == ["kafka"]
    assert offers(cells, "%%cq\nSELECT * FROM |") == ["TUMBLE(", "errors."]


def test_tab_never_raises_wherever_the_cursor_stands(orders: Cells, capsys: pytest.CaptureFixture[str]):  # fmt: skip
    cell = """%%stream shop
CREATE SOURCE s (id BIGINT, WATERMARK FOR ts AS ts - INTERVAL 5 SECONDS)
  WITH (connector = 'kafka', topic = 'it''s', properties.a = 1) FORMAT json (x = true);
CREATE STREAM j AS SELECT o.item.size.height, "odd name" -- comment
  FROM TUMBLE(orders, ts, INTERVAL 1 SECOND) o LEFT JOIN big USING (id) WHERE x = $$a$$ /* b */;
DROP ((((; EXPLAIN ANALYZE )]}"""
    for place in range(len(cell) + 1):
        offers(orders, cell[:place] + "|" + cell[place:])
        offers(orders, cell[:place] + "|")
    assert capsys.readouterr().err == ""


def test_words_of_the_parser_and_of_completion_are_the_same():
    assert set(statement.STATEMENTS) == set(words.STATEMENTS)
    assert set(statement.KINDS) == set(words.KINDS)
    assert set(statement.SHOWN) == set(words.SHOWN)
