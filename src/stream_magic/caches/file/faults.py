"""Why files cannot be read, in words of our own: asked only when a load has failed."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

_CSV_FAULTS = {
    "MISSING COLUMNS": "has too few fields",
    "TOO MANY COLUMNS": "has too many fields",
    "UNQUOTED VALUE": "has a quote that is not closed, or text after a closing one",
    "INVALID ENCODING": "is not UTF-8",
    "LINE SIZE OVER MAXIMUM": "is too long",
}


def fault_of(path: Path, reader: str, arguments: dict[str, Any]) -> str | None:
    """What is wrong with one file: 'line 3 is not JSON'; None if nothing was found."""
    try:
        if path.stat().st_size == 0:
            return "the file is empty"
        if reader == "read_parquet":
            return _parquet_fault(path)
        return _json_fault(path) if reader == "read_json" else _csv_fault(path, arguments)
    except (OSError, EOFError) as e:
        return f"the file cannot be opened ({getattr(e, 'strerror', None) or 'it is cut short'})"


def _parquet_fault(path: Path) -> str | None:
    import pyarrow.parquet as pq

    try:
        pq.read_metadata(path)
    except pa.ArrowException:
        return "it is no whole Parquet file: it is still being written, or something else"
    return None


def _json_fault(path: Path) -> str | None:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        msgspec.json.decode(data)
    except msgspec.DecodeError:
        lines = enumerate(data.splitlines(), start=1)
        return next((f"line {n} is not JSON" for n, line in lines if not _is_json(line)), None)
    return None


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line or b"null")
    except msgspec.DecodeError:
        return False
    return True


def _csv_fault(path: Path, arguments: dict[str, Any]) -> str | None:
    named = "".join(f", {name} = ${name}" for name in arguments)
    with duckdb.connect() as connection:
        try:
            connection.execute(
                f"SELECT count(COLUMNS(*)) FROM read_csv($path{named}, store_rejects = true)",
                {"path": str(path), **arguments},
            ).fetchall()
        except duckdb.Error:
            return None
        found = connection.execute(
            "SELECT line, error_type::VARCHAR FROM reject_errors ORDER BY line LIMIT 1"
        ).fetchone()
    if found is None:
        return None
    return f"line {found[0]} {_CSV_FAULTS.get(found[1], 'does not fit')}"
