"""The nodes of an incremental plan. They hold SQL texts and facts, and do nothing.

A plan is a graph: a node may be the input of several others (a CTE that is read twice), and is then
the same object. Columns that a node gives are named by the planner and unique within the node; the
engine's own columns (`_sm_seq`, `_sm_wm`, `_weight`) come after them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import pyarrow as pa

from stream_magic.language.catalog import Relation
from stream_magic.language.statements import Emit
from stream_magic.planner.arrival_nodes import Clocked, Fill, Number
from stream_magic.planner.extents import Bounds, LastRows
from stream_magic.planner.parts import Call, Follows, Lookup, PythonCall, Sifted

WINDOW_END = "_sm_wend"  # microseconds; the key by which windows are closed and forgotten
PARTITION = (
    "_sm_p"  # with a number: the columns of a `Partition` that say which partition a row is of
)
ROW = "_sm_row"  # inside a `Remember`: the number of the row that something was made from
SESSION = "_sm_session"  # the number of a row's session
DELTA = "_sm_delta"  # the changed rows of a side, where a condition asks for them


@dataclass(frozen=True)
class Read:
    """The delta of a named relation."""

    relation: Relation

    @property
    def inputs(self) -> tuple[Node, ...]:
        return ()

    @property
    def schema(self) -> pa.Schema:
        return self.relation.stream_schema


@dataclass(frozen=True)
class Constant:
    """Rows that the query itself states (VALUES, a SELECT without FROM): there from its beginning.

    Attributes:
        sql: gives the visible columns; reads nothing.
        schema: the visible columns and `_sm_seq`, which is -1: before all that arrives.
    """

    sql: str
    schema: pa.Schema
    types: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Node, ...]:
        return ()


@dataclass(frozen=True)
class Compute:
    """Filter, projection, window assignment and cache lookups in one DuckDB statement: linear.

    Attributes:
        input: what `_in` stands for.
        sql: reads `_in` and `caches.*`; its columns are the visible ones and then the engine's.
        visible: names of the visible columns, by position.
        hidden: names of the columns after them.
        schema: of the output, the hidden columns included.
        types: DuckDB types of the visible columns.
        caches: ids of the caches that it looks up.
        is_windowed: it gives `_sm_wend`; NULL there is a NULL time, an error row.
        rule: one line for EXPLAIN.
        probe_sql: says for each input row whether it cannot be computed; '' if that cannot be asked.
        labels: what users call the input's columns, where they were named by the planner.
        reads_clock: it asks what time it is.
        lookups: joins that an index can do beforehand, with `lookup_sql`.
        lookup_sql: the same as `sql` over `_in` and what each lookup found, row by row; '' without lookups.
        picked: for each column of the output that of the input which it is, or '' if it is made;
            () if rows are left out or added, or all columns are made.
        made_sql: gives the columns that are made, row by row; '' if none is, or without `picked`.
        sifted: its filter, if it can be asked beforehand.
        follows: columns that follow from others of it.
    """

    input: Node
    sql: str
    visible: tuple[str, ...]
    hidden: tuple[str, ...]
    schema: pa.Schema
    types: tuple[str, ...]
    caches: tuple[str, ...] = ()
    is_windowed: bool = False
    rule: str = ""
    probe_sql: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    reads_clock: bool = False
    lookups: tuple[Lookup, ...] = ()
    lookup_sql: str = ""
    picked: tuple[str, ...] = ()
    made_sql: str = ""
    sifted: Sifted | None = None
    follows: tuple[Follows, ...] = ()

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.input,)


@dataclass(frozen=True)
class Apply:
    """Python functions, called once for each row.

    Attributes:
        input: gives the arguments.
        calls: what is called; none reads what another gives.
        schema: columns of the input that are kept, what the calls gave, then the engine's.
        types: DuckDB types of the visible columns.
        labels: what users call the input's columns.
    """

    input: Compute
    calls: tuple[PythonCall, ...]
    schema: pa.Schema
    types: tuple[str, ...]
    labels: dict[str, str]

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.input,)

    @property
    def is_over_rows(self) -> bool:
        """Its rows are a stream's own, one for one: their numbers of arrival tell them apart."""
        node: Node = self.input
        while isinstance(node, Compute | Apply):
            node = node.input
        return isinstance(node, Read) and not node.relation.is_changelog


@dataclass(frozen=True)
class Remember:
    """What each row of a changelog found or drew is kept until the row is taken back, and then taken back itself.

    Attributes:
        input: a changelog; a row is known again by all of its columns.
        types: DuckDB types of the input's visible columns.
        inner: a plan over `fresh` without state: what is kept, with the row's `_sm_row`.
        fresh: the rows that came, each with its number (`_sm_row`).
        schema: of the output: the visible columns of `inner`, then the engine's.
    """

    input: Node
    types: tuple[str, ...]
    inner: Compute
    fresh: Read
    schema: pa.Schema

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.input,)


@dataclass(frozen=True)
class Union:
    """UNION ALL: the rows of all inputs.

    Attributes:
        parts: their visible columns have the same names and types.
        schema: with `_weight` if any input has it (the others count +1), with `_sm_wm` if all have it.
        is_table: its rows are kept; what takes back a row that is not there is an error.
    """

    parts: tuple[Node, ...]
    schema: pa.Schema
    types: tuple[str, ...]
    is_table: bool = False

    @property
    def inputs(self) -> tuple[Node, ...]:
        return self.parts


@dataclass(frozen=True)
class Side:
    """One input of a join, whose rows are kept.

    Attributes:
        input: the node.
        columns: its visible columns that are kept; a name stands on one side only.
        types: their DuckDB types.
        is_linear: a change of it changes the result by the join of the changed rows alone; else
            (the other side of an outer join) the result before and after the change are compared.
        touched: of a side that is not linear: a condition that holds at least for the rows of the
            result that a change may touch. It reads the joined row (`t0.c1`) and the changed rows
            (a table `_sm_delta` with this side's columns). '' is all rows.
        late_us: SQL over its columns: a row is late when the watermark that it is judged by has
            reached this; '' if rows are never late.
        forget_us: SQL over its columns: a row is of no more use when the lowest watermark of the
            other sides (of all sides, if it is not linear) has reached this; '' if it is kept for ever. Of a side that is not linear it
            is the lowest of all sides: a match is kept as long as its partner may be matched again.
            A changelog's row is kept until it is late as well: before, it may be taken back. It may be a window
            function over all rows of the side.
    """

    input: Node
    columns: tuple[str, ...]
    types: tuple[str, ...]
    is_linear: bool = True
    touched: str = ""
    late_us: str = ""
    forget_us: str = ""


@dataclass(frozen=True)
class Join:
    """The sides of one FROM clause, joined in one statement.

    With T(a, b, ...) the statement over its sides, one change after the other is worked in: of a
    linear side T(..., change, ...), of another T(..., after, ...) - T(..., before, ...).

    Attributes:
        sides: in the order of `from_sql`.
        from_sql: a FROM clause with `{0}`, `{1}` ... for the sides, which it calls t0, t1 ...; and a WHERE
            clause if there is one: `{0} AS t0 JOIN {1} AS t1 ON t0.c1 = t1.c4 WHERE t0.c2 < t1.c5`.
        shown: names of the sides' columns that the result has.
        seq_sides: numbers of the sides whose arrival counts for a row's own.
        schema: `shown`, `_sm_seq`, `_sm_wm` if the join has a watermark, `_weight` if it is a changelog.
        types: DuckDB types of `shown`.
        rule: one line for EXPLAIN.
        bound: what bounds its state, for EXPLAIN.
    """

    sides: tuple[Side, ...]
    from_sql: str
    shown: tuple[str, ...]
    seq_sides: tuple[int, ...]
    schema: pa.Schema
    types: tuple[str, ...]
    rule: str = ""
    bound: str = ""

    @property
    def inputs(self) -> tuple[Node, ...]:
        return tuple(s.input for s in self.sides)


@dataclass(frozen=True)
class Part:
    """One input of a `Partition`, whose rows are kept.

    Attributes:
        input: the node.
        columns: its columns that are kept (`_sm_seq` among them if the statement goes by arrival).
        types: their DuckDB types.
        keys: those of them that say which partition a row is of, as many as the other inputs have;
            () if all rows are one partition.
    """

    input: Node
    columns: tuple[str, ...]
    types: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Partition:
    """Any SELECT whose result falls into partitions: touched ones are computed again from kept rows.

    Attributes:
        parts: the inputs.
        sql: a SELECT that reads `{0}`, `{1}` ... in places of a table name; gives the columns `_sm_p0`,
            `_sm_p1` ... (as many as there are keys, equal to the keys of the rows behind) and then
            the visible ones. What it answers for some partitions does not depend on the others.
        schema: visible columns, `_sm_seq`, `_weight`.
        types: DuckDB types of the visible columns.
        key_types: DuckDB types of the keys.
        rule: one line for EXPLAIN.
        shown_keys: what users call the keys.
        end: the place of the key that is the end of a window: when that closes the partition is told, or forgotten; None if nothing does.
        lateness_us: allowed.
        emit: 'changes' gives a changelog after every epoch, 'close' the rows of a partition when its window closes.
    """

    parts: tuple[Part, ...]
    sql: str
    schema: pa.Schema
    types: tuple[str, ...]
    key_types: tuple[str, ...]
    rule: str = ""
    shown_keys: tuple[str, ...] = ()
    end: int | None = None
    lateness_us: int = 0
    emit: Emit = "changes"

    @property
    def inputs(self) -> tuple[Node, ...]:
        return tuple(p.input for p in self.parts)


@dataclass(frozen=True)
class Waiting:
    """Window functions in the order of event time: a row is told once, when the watermark has passed it.

    Attributes:
        input: gives the time as `_sm_wend`, and `_sm_wm`.
        columns: of the input, that are kept.
        kept_types: their DuckDB types.
        sql: a SELECT over `{0}`, the rows that the watermark has passed; gives the visible columns and `_sm_wend`.
        schema: visible columns and `_sm_seq`.
        types: DuckDB types of the visible columns.
        ahead_us: a row waits until the watermark has passed it by so much.
        behind_us: how far back from the next row rows are read; None is to the first row.
        last_rows: that are read whatever their time.
        rule: one line for EXPLAIN.
    """

    input: Node
    columns: tuple[str, ...]
    kept_types: tuple[str, ...]
    sql: str
    schema: pa.Schema
    types: tuple[str, ...]
    ahead_us: int
    behind_us: int | None
    last_rows: tuple[LastRows, ...]
    rule: str

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.input,)


@dataclass(frozen=True)
class Sessions:
    """SESSION over a time with a watermark: rows are put into the open sessions of their key, late ones are errors.

    Attributes:
        input: gives the time as `_sm_wend`, and `_sm_wm`.
        columns: its visible columns.
        types: their DuckDB types.
        keys: those of them that make the key.
        lateness_us: allowed.
        gives: 'numbers' gives each row once, with its session as `_sm_session` (a `SessionGroup` reads them);
            'rows' a changelog of rows with the bounds that their sessions have now; 'closed' the rows of closed sessions.
        bounds: of the sessions.
        shown_keys: the keys as the user calls them.
        schema: `columns`, the bounds unless it gives numbers, and the engine's columns.
    """

    input: Node
    columns: tuple[str, ...]
    types: tuple[str, ...]
    keys: tuple[str, ...]
    lateness_us: int
    gives: Literal["numbers", "rows", "closed"]
    bounds: Bounds
    schema: pa.Schema
    shown_keys: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.input,)


@dataclass(frozen=True)
class Aggregate:
    """GROUP BY. Partials are merged where DuckDB can export them, else groups are recomputed.

    Attributes:
        keys: columns of the input that make a group, the window's end (`_sm_wend`) among them.
        calls: the aggregates; output columns are keys, then calls.
        schema: of the output: visible keys, calls, then the engine's columns.
        types: DuckDB types of keys and calls.
        input_sql: the input with its DuckDB types restored.
        input_columns: names of the columns that are kept when rows must be retained.
        emit: 'changes' gives a changelog after every epoch, 'close' a row when its window closes.
        is_windowed: `_sm_wend` is among the keys: windows close, late rows are errors.
        lateness_us: allowed lateness.
        is_input_changelog: rows come with a weight.
        shown_keys: what users call the keys.
        is_whole: all rows of a group come in one epoch, and no other does.
    """

    input: Node
    keys: tuple[str, ...]
    calls: tuple[Call, ...]
    schema: pa.Schema
    types: tuple[str, ...]
    input_sql: str
    input_columns: tuple[str, ...]
    emit: Emit
    is_windowed: bool
    lateness_us: int
    is_input_changelog: bool
    shown_keys: tuple[str, ...] = ()
    is_whole: bool = False

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.input,)

    @property
    def is_mergeable(self) -> bool:
        return not self.is_input_changelog and all(c.is_mergeable for c in self.calls)

    @property
    def is_pieced(self) -> bool:
        """All of its aggregates can be made of pieces."""
        return self.is_mergeable and all(c.pieces for c in self.calls)


@dataclass(frozen=True)
class SessionGroup:
    """GROUP BY over sessions: one state for each session and key, merged when sessions are.

    Attributes:
        group: keys (the bounds among them, which `input` does not give), calls, schema.
        sessions: gives the rows their sessions, and says what became of sessions.
    """

    group: Aggregate
    sessions: Sessions

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.group.input, self.sessions)

    @property
    def schema(self) -> pa.Schema:
        return self.group.schema

    @property
    def types(self) -> tuple[str, ...]:
        return self.group.types

    @property
    def shown_keys(self) -> tuple[str, ...]:
        return self.group.shown_keys


Node: TypeAlias = (
    Read
    | Constant
    | Compute
    | Apply
    | Remember
    | Union
    | Join
    | Partition
    | Clocked
    | Number
    | Fill
    | Waiting
    | Sessions
    | Aggregate
    | SessionGroup
)
