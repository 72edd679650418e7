"""What was given last, partition by partition, so that exactly that is taken back.

Two computations over the same rows may differ in the last bit of a float; what is stored cannot.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from stream_magic.core.change import WEIGHT
from stream_magic.engine.state import ArrowInput, Database, StateSize
from stream_magic.language.binder import quote


class Results:
    """The results of all partitions, in a table of DuckDB.

    Args:
        sql: computes the touched partitions; its columns are called `columns`, with these `types`.
        keys: those of them that say which partition a row is of.
        shown: those that the changelog has.
        touched: reads the keys of the touched partitions; '' if all rows are one partition.

    Attributes:
        is_whole: nothing was forgotten.
    """

    def __init__(
        self, database: Database, sql: str, columns: Sequence[str], types: Sequence[str],
        *, keys: Sequence[str], shown: Sequence[str], touched: str,
    ) -> None:  # fmt: skip
        self._database = database
        number = database.number()
        self.table, self._fresh = f"o{number}", f"_new{number}"
        self._columns, self._shown = list(columns), list(shown)
        self.is_whole = True
        self._statements = drop, keep = f"drop{number}", f"keep{number}"
        self._computed = database.select(sql)
        self._input = ArrowInput(self._compute().schema)
        database.register(self._fresh, self._input)
        declared = ", ".join(f"{quote(c)} {t}" for c, t in zip(columns, types, strict=True))
        database.execute(f"CREATE TABLE {self.table} ({declared})")
        kinds = dict(zip(columns, types, strict=True))
        names = ", ".join(quote(n) for n in shown)
        fresh = ", ".join(f"CAST({quote(n)} AS {kinds[n]}) AS {quote(n)}" for n in shown)
        equal = " AND ".join(f"o.{quote(k)} IS NOT DISTINCT FROM x.{quote(k)}" for k in keys)
        semi = f"SEMI JOIN {touched} AS x ON {equal}" if touched else ""
        where = f"WHERE EXISTS (SELECT 1 FROM {touched} AS x WHERE {equal})" if touched else ""
        self._diff = database.select(
            f"SELECT {names}, sum(_w)::BIGINT AS {WEIGHT} FROM ("
            f"SELECT {fresh}, 1 AS _w FROM {self._fresh} UNION ALL "
            f"SELECT {names}, -1 AS _w FROM {self.table} AS o {semi}) "
            f"GROUP BY {names} HAVING sum(_w) <> 0 ORDER BY {WEIGHT}"
        )
        database.execute(f"PREPARE {drop} AS DELETE FROM {self.table} AS o {where}")
        database.execute(f"PREPARE {keep} AS INSERT INTO {self.table} FROM {self._fresh}")

    def update(self, computed: pa.Table | None = None) -> pa.Table:
        """Computes the touched partitions again: old rows with -1, new ones with +1, where they differ.

        Args:
            computed: what they give, if it has been computed already.
        """
        drop, keep = self._statements
        self._input.table = self._compute() if computed is None else self._named(computed)
        changes = self._diff.run()
        if changes.num_rows:
            self._database.execute(f"EXECUTE {drop}")
            self._database.execute(f"EXECUTE {keep}")
        return changes

    def all(self) -> pa.Table:
        """All that is given now, each row with the weight 1."""
        names = ", ".join(quote(n) for n in self._shown)
        return self._database.arrow(f"SELECT {names}, 1::BIGINT AS {WEIGHT} FROM {self.table}")

    def delete(self, condition: str) -> None:
        """Forgets results; nothing is taken back."""
        if self._database.delete(self.table, condition):
            self.is_whole = False

    def size(self) -> StateSize:
        return self._database.size(self.table)

    def close(self) -> None:
        for statement in self._statements:
            self._database.execute(f"DEALLOCATE {statement}")
        self._database.execute(f"DROP TABLE {self.table}")
        self._database.unregister(self._fresh)

    def _compute(self) -> pa.Table:
        return self._named(self._computed.run())

    def _named(self, computed: pa.Table) -> pa.Table:
        return computed.rename_columns(self._columns)
