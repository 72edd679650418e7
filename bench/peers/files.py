"""Tables as Arrow files, by which the processes hand rows and answers to each other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa


def write(path: Path, table: pa.Table) -> None:
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)


def read(path: Path) -> pa.Table:
    """In memory, not mapped: no page is read while a clock runs."""
    return pa.ipc.open_file(path.read_bytes()).read_all()


def read_rows(folder: Path, names: Iterable[str]) -> dict[str, pa.Table]:
    return {name: read(folder / f"{name}.arrow") for name in names}
