"""Parquet: whole files only, read in batches of rows and written when they are complete."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import pyarrow as pa

from stream_magic.contracts.format import Decoded, FileWriter, Format
from stream_magic.contracts.options import Options, option
from stream_magic.core.values import type_name
from stream_magic.errors import ConfigError, ConnectorError

if TYPE_CHECKING:
    import pyarrow.parquet as pq


@dataclass(frozen=True, kw_only=True)
class ParquetOptions(Options):
    compression: Literal["snappy", "zstd", "gzip", "none"] = option(
        "How pages are packed in files that are written.", default="zstd", example="'snappy'"
    )


class ParquetFormat(Format):
    """There are no single Parquet messages: for files only."""

    options_type = ParquetOptions
    extension: ClassVar[str] = "parquet"
    is_file_only: ClassVar[bool] = True
    options: ParquetOptions

    def __init__(self, options: ParquetOptions) -> None:
        super().__init__(options)

    def infer(self, samples: Sequence[bytes], header: bytes | None = None) -> pa.Schema:  # noqa: ARG002
        raise _only_files()

    def decode(
        self,
        payloads: pa.Array,  # noqa: ARG002
        schema: pa.Schema,  # noqa: ARG002
        header: bytes | None = None,  # noqa: ARG002
    ) -> Decoded:
        raise _only_files()

    def encode(self, rows: pa.Table) -> list[bytes]:  # noqa: ARG002
        raise _only_files()

    def misfits(self, schema: pa.Schema) -> dict[str, str]:
        return {f.name: _misfit(f.type) for f in schema if not _is_writable(f.type)}

    def open_file(self, stream: BinaryIO, schema: pa.Schema, *, at_start: bool) -> FileWriter:
        if not at_start:
            raise ConfigError("SM7151", "a Parquet file cannot be continued")
        return _ParquetWriter(stream, schema, self.options.compression)

    def read_file(self, path: str, first_row: int, batch_rows: int) -> Iterator[pa.Table]:
        with _opened(path) as file:
            skip = first_row
            groups: list[int] = []
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if skip >= rows and not groups:
                    skip -= rows
                else:
                    groups.append(group)
            if not groups:
                return
            for batch in file.iter_batches(batch_rows, row_groups=groups):
                rows = batch.num_rows
                if skip < rows:
                    yield pa.Table.from_batches([batch.slice(skip)])
                skip = max(0, skip - rows)

    def file_schema(self, path: str) -> pa.Schema:
        with _opened(path) as file:
            schema: pa.Schema = file.schema_arrow.remove_metadata()
            return schema


class _ParquetWriter(FileWriter):
    is_append_only: ClassVar[bool] = False

    def __init__(self, stream: BinaryIO, schema: pa.Schema, compression: str) -> None:
        import pyarrow.parquet as pq

        self._writer: Any = pq.ParquetWriter(stream, schema, compression=compression)

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows)

    def close(self) -> None:
        self._writer.close()


def _is_writable(kind: pa.DataType) -> bool:
    """The writer itself is asked: it says no before there are rows."""
    import pyarrow.parquet as pq

    try:
        pq.ParquetWriter(io.BytesIO(), pa.schema([("c", kind)])).close()
    except pa.ArrowNotImplementedError:
        return False
    return True


def _misfit(kind: pa.DataType) -> str:
    """The type that is the cause, also deep inside: 'STRUCT with INTERVAL'."""
    inner = [kind.field(i).type for i in range(kind.num_fields)]
    cause = next((t for t in inner if not _is_writable(t)), None)
    if cause is not None:
        return f"{type_name(kind)} with {_misfit(cause)}"
    return type_name(kind) if not pa.types.is_struct(kind) else "STRUCT without fields"


def _opened(path: str) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as e:
        raise ConnectorError("SM4105", f"{path} is not a Parquet file: {e}") from None


def _only_files() -> ConfigError:
    return ConfigError(
        "SM7150", "Parquet is a format of files, not of messages", hint="write FORMAT json"
    )
