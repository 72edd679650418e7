"""Columns that nobody declared: names that SQL cannot tell apart are an error of the cell."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_magic import App
from stream_magic.errors import LanguageError


def write(folder: Path, name: str, text: str = "") -> Path:
    path = folder / name
    if name.endswith("parquet"):
        pq.write_table(pa.table([[1], ["x"], [2]], names=["id", "name", "id"]), path)
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "called"),
    [
        ("x.csv", "id,name,id\n1,x,2\n", "'id'"),
        ("x.csv", "id,name,ID\n1,x,2\n", "'id' and 'ID'"),
        ("x.csv", "id,,column2\n1,x,2\n", "'column2'"),
        ("x.csv", "id,name,id\n", "'id'"),
        ("x.jsonl", '{"id": 1, "name": "x", "ID": 2}\n', "'id' and 'ID'"),
        ("x.parquet", "", "'id'"),
    ],
)
def test_a_name_that_comes_twice_is_an_error_of_the_cell(tmp_path, name, text, called):
    path = write(tmp_path, name, text)
    app = App("t")
    with pytest.raises(LanguageError) as caught:
        app.execute(f"CREATE SOURCE s\n  WITH (connector = 'file', path = '{path}')")
    assert str(caught.value) == (
        f"SM2020 two columns of s are called {called}\n"
        "  1 | CREATE SOURCE s\n"
        "    |               ^\n"
        "hint: rename one of them where the rows come from, or declare the columns to read: "
        "CREATE SOURCE s (id BIGINT, ...) WITH (...)"
    )
    assert app.status() == {}


@pytest.mark.parametrize(
    ("name", "columns", "expected"),
    [
        ("x.csv", "id BIGINT, name VARCHAR", {"id": 1, "name": "x"}),
        ("x.csv", "ID BIGINT", {"ID": 2}),
        ("x.csv", "Id BIGINT", {"Id": 1}),
        ("x.parquet", "id BIGINT, NAME VARCHAR", {"id": 1, "NAME": "x"}),
    ],
)
def test_declared_columns_take_the_first_of_their_name(tmp_path, name, columns, expected):
    path = write(tmp_path, name, "id,name,ID,id\n1,x,2,3\n")
    app = App("t")
    app.execute(f"CREATE SOURCE s ({columns}) WITH (connector = 'file', path = '{path}')")
    app.drain()
    assert app["s"].preview().to_pylist() == [expected]
    app.close()


def test_a_cache_whose_query_gives_a_name_twice_is_refused_too(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE p (id INTEGER, name TEXT)")
    db.close()
    with pytest.raises(LanguageError, match="two columns of p are called 'id' and 'ID'") as caught:
        App("t").execute(
            "CREATE CACHE p KEY (id) WITH (connector = 'database', "
            f"url = 'sqlite:///{path}', query = 'SELECT id, name AS ID FROM p')"
        )
    assert caught.value.hint == "name one of them in the query: ... AS other_name"
