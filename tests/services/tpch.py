"""Writes the tables of TPC-H and its queries into a folder: `python tpch.py FOLDER SCALE`, in an environment of its own.

The extension has the version of its DuckDB, which is not ours; so tables travel as Parquet and queries as text.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import duckdb_extension_tpch


def main(folder: Path, scale: float) -> None:
    extension = next(Path(duckdb_extension_tpch.__file__).parent.rglob("*.duckdb_extension"))
    con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    con.execute(f"LOAD '{extension}'")
    con.execute(f"CALL dbgen(sf = {scale})")
    folder.mkdir(parents=True, exist_ok=True)
    for (table,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall():
        con.execute(f"COPY {table} TO '{folder / table}.parquet'")
    for number, text in con.execute("SELECT query_nr, query FROM tpch_queries()").fetchall():
        (folder / f"q{number:02}.sql").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
