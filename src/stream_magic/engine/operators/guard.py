"""Partitions that cannot be computed: they give no rows until they can, and one error row each time they begin to fail.

An error aborts the transaction that it happens in. So the epoch is taken back once, and run again with the
touched partitions copied out of the state: they are computed apart from the transaction, and halved around those
that fail. What a partition gives is then a function of its rows alone, wherever epochs are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pyarrow as pa

from stream_magic.core.change import SEQ, WEIGHT
from stream_magic.engine.operators.bag import Bag
from stream_magic.engine.operators.base import Turn
from stream_magic.engine.row_errors import NO_RESULT, RowError, as_texts, no_result
from stream_magic.engine.state import ArrowInput, Database, Select
from stream_magic.engine.values import VALUE_ERRORS, reason_of
from stream_magic.language.binder import quote

_ALL = "_sm_all"  # stands for the key where all rows are one partition


class Keys(NamedTuple):
    """What says which partition a row is of.

    Attributes:
        names: of the keys in the result.
        types: their DuckDB types.
        labels: what users call those of them that they know.
        inputs: for each bag the columns that are the keys there.
    """

    names: Sequence[str]
    types: Sequence[str]
    labels: Sequence[str]
    inputs: Sequence[Sequence[str]]


class Guard:
    """Is off, and costs nothing, until a partition fails, and again when none does.

    Args:
        sql: the statement over the rows of each bag and the keys of touched partitions.
        touched: reads those keys, of this epoch.
        bags: the rows.
        judges_rows: a row that fails even alone is no input: it goes to the errors, and the others of its
            partition are computed. (It must be so that rows that fail make all partitions fail that they are in.)
    """

    def __init__(
        self, sql: Callable[[Sequence[str], str], str], touched: str, bags: Sequence[Bag], keys: Keys,
        database: Database, *, judges_rows: bool = False,
    ) -> None:  # fmt: skip
        self._sql, self._touched, self._bags, self._keys = sql, touched, bags, keys
        self._database, self._judges_rows = database, judges_rows
        self._apart: _Apart | None = None
        self._is_on = self._has_dropped = False
        self._failing: frozenset[bytes] = frozenset()

    def take_care(self, error: BaseException | None) -> bool:
        """The epoch failed with this error: whether it can be run again, with partitions apart."""
        if self._is_on or not isinstance(error, VALUE_ERRORS):
            return False
        if self._apart is None:
            self._apart = _Apart(self._sql, self._bags, self._keys, self._database)
        self._is_on = True
        return True

    def without_bad(self, delta: pa.Table, turn: Turn) -> pa.Table:
        """The rows that can be computed if they are alone in their partition."""
        if not self._is_on or not self._judges_rows or self._apart is None or not delta.num_rows:
            return delta
        reasons: dict[int, str] = {}
        todo = [(0, delta)]
        while todo:
            first, rows = todo.pop()
            error = self._apart.failure_of(rows)
            if error is None:
                continue
            if rows.num_rows == 1:
                reasons[first] = reason_of(error)
                continue
            half = rows.num_rows // 2
            todo += [(first + half, rows.slice(half)), (first, rows.slice(0, half))]
        return self._dropped(delta, reasons, turn) if reasons else delta

    def computed(self, turn: Turn, closed: str = "") -> pa.Table | None:
        """What the touched partitions give that can be computed. None if that is asked for as usual.

        Args:
            turn: takes the errors.
            closed: reads the keys of partitions that are told once, and those are meant.
        """
        if not self._is_on or self._apart is None:
            return None
        touched = self._database.arrow(f"FROM {closed or self._touched or f'(SELECT 0 AS {_ALL})'}")
        self._apart.copy(touched)
        done: list[pa.Table] = []
        failed: dict[bytes, str] = {}
        todo = [touched]
        while todo:
            part = todo.pop()
            try:
                done.append(self._apart.computed(part))
            except VALUE_ERRORS as e:
                half = part.num_rows // 2
                if half:
                    todo += [part.slice(half), part.slice(0, half)]
                else:
                    failed[self._raw(part)[0]] = reason_of(e)
        self._note(touched, failed, turn, are_over=bool(closed))
        return pa.concat_tables([self._apart.schema.empty_table(), *done])

    def close(self) -> None:
        if self._apart is not None:
            self._apart.close()

    def _dropped(self, delta: pa.Table, reasons: dict[int, str], turn: Turn) -> pa.Table:
        numbers = delta.column(SEQ).to_pylist()
        weights = delta.column(WEIGHT).to_pylist() if WEIGHT in delta.column_names else None
        for place, reason in sorted(reasons.items()):
            if (
                weights is None or weights[place] > 0
            ):  # what is taken back was an error when it came
                turn.errors.add([numbers[place]], "SM5001", reason)
        self._has_dropped = self._has_dropped or WEIGHT in delta.column_names
        is_good = [i not in reasons for i in range(delta.num_rows)]
        return delta.filter(pa.array(is_good))

    def _note(
        self, touched: pa.Table, failed: dict[bytes, str], turn: Turn, *, are_over: bool
    ) -> None:
        """Says which partitions fail that did not before."""
        before, is_on = self._failing, self._is_on

        def undo() -> None:
            self._failing, self._is_on = before, is_on

        self._database.on_rollback(undo)
        for raw in failed.keys() - before:
            reason = no_result(failed[raw])
            turn.errors.rows.append(RowError(NO_RESULT, reason, raw, seq=turn.last_seq))
        gone = set(self._raw(touched)) if before else set()
        self._failing = (before - gone) | (frozenset() if are_over else failed.keys())
        self._is_on = bool(self._failing) or self._has_dropped

    def _raw(self, keys: pa.Table) -> list[bytes]:
        """Keys as users know them."""
        labels = list(self._keys.labels)
        if not labels:
            return [b"{}"] * keys.num_rows
        return as_texts(keys.select(list(self._keys.names)[: len(labels)]).rename_columns(labels))


class _Apart:
    """The statement on a connection of its own, over copies of rows. Made between epochs."""

    def __init__(
        self, sql: Callable[[Sequence[str], str], str], bags: Sequence[Bag], keys: Keys, database: Database
    ) -> None:  # fmt: skip
        self._database = database
        self._cursor = database.cursor()
        pairs = list(zip(keys.names, keys.types, strict=True))
        none = ", ".join(f"NULL::{t} AS {n}" for n, t in pairs)
        self._some = ArrowInput(database.arrow(f"SELECT {none or f'0 AS {_ALL}'} LIMIT 0").schema)
        self._some_name = f"_some{database.number()}"
        database.register(self._some_name, self._some)
        self._cursor.register("_some", self._some)
        self._copies = [
            database.select(self._copy_sql(bag, columns, pairs))
            for bag, columns in zip(bags, keys.inputs, strict=True)
        ]
        self._rows = [ArrowInput(copy.run().schema) for copy in self._copies]
        for i, rows in enumerate(self._rows):
            self._cursor.register(f"_rows{i}", rows)
        tables = [bag.typed(f"_rows{i}") for i, bag in enumerate(bags)]
        casts = ", ".join(f"CAST({n} AS {t}) AS {n}" for n, t in pairs) or "*"
        self._computed = Select(self._cursor, sql(tables, f"(SELECT {casts} FROM _some)"))
        own = [f"{quote(c)} AS {n}" for c, n in zip(keys.inputs[0], keys.names, strict=True)]
        touched = f"(SELECT DISTINCT {', '.join(own) or '*'} FROM {tables[0]})"
        self._alone = Select(self._cursor, sql(tables, touched))
        self.schema = self._computed.run().schema

    def copy(self, touched: pa.Table) -> None:
        """Takes the rows of these partitions out of the state."""
        self._some.table = touched
        for rows, copy in zip(self._rows, self._copies, strict=True):
            rows.table = copy.run()

    def computed(self, touched: pa.Table) -> pa.Table:
        """Of the rows that were copied last, what these partitions give."""
        self._some.table = touched
        return self._computed.run()

    def failure_of(self, rows: pa.Table) -> Exception | None:
        """Why these rows cannot be computed, if they are all that there is."""
        self._rows[0].table = rows.select(self._rows[0].table.schema.names)
        try:
            self._alone.run()
        except VALUE_ERRORS as e:
            return e
        return None

    def close(self) -> None:
        self._cursor.close()
        self._database.unregister(self._some_name)

    def _copy_sql(self, bag: Bag, columns: Sequence[str], keys: Sequence[tuple[str, str]]) -> str:
        equal = " AND ".join(
            f"r.{quote(c)} IS NOT DISTINCT FROM CAST(x.{n} AS {t})"
            for c, (n, t) in zip(columns, keys, strict=True)
        )
        return (
            f"SELECT r.* FROM {bag.rows} AS r SEMI JOIN {self._some_name} AS x ON {equal or 'true'}"
        )
