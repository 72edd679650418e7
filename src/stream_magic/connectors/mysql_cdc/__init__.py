"""Change data capture from MySQL and MariaDB: rows of tables, then every change of them, from the binary log.

The idea to know: we read the log as a replica does, but take the rows' raw bytes and decode them
by columns with a reader compiled for each table (`decode.py`), straight into Arrow (`values.py`).
The walk of a change: `wire.py` (packets) -> `events.py` (what an event says) -> `log.py`
(transactions, positions) -> `rows.py` (Arrow batches) -> `source.py`.
"""

from __future__ import annotations

from stream_magic.connectors.mysql_cdc.source import MysqlCdcOptions, MysqlCdcSource

__all__ = ["MysqlCdcOptions", "MysqlCdcSource"]
