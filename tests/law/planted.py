"""One broken line for each rule of the planner and each operator: the law run must find every one of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src" / "stream_magic"


@dataclass(frozen=True)
class Fault:
    """A line that says something else.

    Attributes:
        name: what is wrong.
        module: where, below `stream_magic`.
        line: what stands there, once; a part of the line is enough.
        broken: what is planted in its place.
        forms: of queries that show it, see `support.grammar.shapes`.
        test: a file of tests that shows it, where no query of the grammar can.
    """

    name: str
    module: str
    line: str
    broken: str
    forms: tuple[str, ...] = ()
    test: str = ""

    @property
    def path(self) -> Path:
        """Of the module's source."""
        return SOURCES / f"{self.module.replace('.', '/')}.py"


_BAG, _RESULTS = "engine.operators.bag", "engine.operators.results"
_MERGE, _RECOMPUTE = "engine.operators.aggregate", "engine.operators.recompute"
_JOIN, _LATE, _MARKS = "engine.operators.join", "engine.operators.late", "engine.watermarks"

FAULTS = (
    # Kept rows.
    Fault("a row with a NULL cannot be taken back", _BAG, 'f"b.{c} IS NOT DISTINCT FROM d.{c}"', 'f"b.{c} = d.{c}"', ("grouped", "join")),
    Fault("equal rows that come together are one", _BAG, "counts = np.maximum(weights, 0)", "counts = np.minimum(np.maximum(weights, 0), 1)", ("grouped", "join", "over")),
    Fault("a row that comes and goes in one epoch is not netted", _BAG, "if (weights < 0).any() and len(weights) > 1:", "if (weights < 0).all():", ("grouped", "join")),
    Fault("what is taken back stays", _BAG, "if change.taken.num_rows:", "if not change:", ("grouped",)),
    Fault("all equal rows are taken back for one", _BAG, '"WHERE n <= -w",', '"WHERE n >= 1",', ("grouped", "join", "over")),
    # What was given last.
    Fault("results of untouched groups are taken back", _RESULTS, "FROM {self.table} AS o {semi}) ", "FROM {self.table} AS o) ", ("grouped", "over")),
    Fault("the result of a NULL group is not taken back", _RESULTS, 'f"o.{quote(k)} IS NOT DISTINCT FROM x.{quote(k)}"', 'f"o.{quote(k)} = x.{quote(k)}"', ("grouped", "over")),
    Fault("nothing is taken back", _RESULTS, "HAVING sum(_w) <> 0", "HAVING sum(_w) > 0", ("grouped",)),
    Fault("old results are never dropped", _RESULTS, 'self._database.execute(f"EXECUTE {drop}")', "pass", ("grouped",)),
    # Aggregates whose partial states are merged.
    Fault("a group's state is replaced, not merged", _MERGE, 'f"{s} = combine(g.{s}, d.{s})"', 'f"{s} = d.{s}"', ("grouped",)),
    Fault("a NULL group is new in every epoch", _MERGE, 'f"{left}.{k} IS NOT DISTINCT FROM {right}.{k}"', 'f"{left}.{k} = {right}.{k}"', ("grouped",)),
    Fault("a result that was NULL stays", _MERGE, 'f"old_{s} IS DISTINCT FROM new_{s}"', 'f"old_{s} <> new_{s}"', ("grouped",)),
    Fault("no input gives no row", _MERGE, "turn.is_first and not self._t.keys", "False", ("grouped",)),
    Fault("the state of a window is forgotten too early", _MERGE, 'database.delete(self._state, f"{WINDOW_END} <= {until}")', 'database.delete(self._state, f"{WINDOW_END} <= {until} + 10000000")', ("windowed",)),
    Fault("a window that ends at the watermark stays open", _MERGE, "FROM {self._state} WHERE {WINDOW_END} <= {until} {t.group_by}", "FROM {self._state} WHERE {WINDOW_END} < {until} {t.group_by}", ("windowed",)),
    Fault("a closed window is told again", _MERGE, '            t.database.execute(f"DELETE FROM {self._state} WHERE {WINDOW_END} <= {until}")', "            pass", ("windowed",)),
    # Groups in memory.
    Fault("an old result is given again", "engine.operators.running", "np.array([-1, 1], np.int64)", "np.array([1, 1], np.int64)", ("totals",)),
    Fault("a window that ends at the watermark waits on", "engine.operators.closing", "is_open = pc.greater(rows.column(WINDOW_END), until)", "is_open = pc.greater_equal(rows.column(WINDOW_END), until)", ("totals",)),
    Fault("late rows are grouped unseen", "engine.operators.partials", "return not pc.any(is_late).as_py()", "return True", ("totals",)),
    Fault("a minimum is put together as a maximum", "planner.pieces", 'Piece(sql, "min" if name == "min" else "max")', 'Piece(sql, "max")', ("totals",)),
    Fault("PIVOT counts all rows in each column", "planner.pivots", "expression=exp.Where(this=test.copy())", "expression=exp.Where(this=exp.true())", ("pivot",)),
    # Aggregates that are computed again.
    Fault("late rows count", _RECOMPUTE, "if self._has_lateness:", "if self._plan.lateness_us < 0:", ("windowed",)),
    Fault("rows of open windows are forgotten", _RECOMPUTE, 'self._bag.delete(f"{WINDOW_END} <= {until}")', 'self._bag.delete("true")', ("windowed",)),
    Fault("only one touched group is computed again", _RECOMPUTE, "(SELECT DISTINCT {', '.join(plan.keys)} FROM {self._bag.delta})", "(SELECT DISTINCT {', '.join(plan.keys)} FROM {self._bag.delta} LIMIT 1)", ("grouped",)),
    Fault("of a part that fails only one half is computed", "engine.operators.guard", "todo += [part.slice(half), part.slice(0, half)]", "todo += [part.slice(half)]", test="tests/unit/engine/test_bad_input.py"),
    Fault("rows are numbered backwards", _RECOMPUTE, "np.arange(first, self._arrived, dtype=np.int64)", "np.arange(self._arrived, first, -1, dtype=np.int64)", ("grouped",)),
    # Partitions.
    Fault("a partition of the second input is not computed again", "engine.operators.partition", "return f\"({' UNION '.join(selects)})\"", 'return f"({selects[0]})"', ("set_operation",)),
    Fault("the NULL partition has no rows", "engine.operators.partition", 'f"r.{quote(k)} IS NOT DISTINCT FROM x.{p}"', 'f"r.{quote(k)} = x.{p}"', ("over", "qualify", "set_operation")),
    Fault("equal rows of a result count twice", "engine.operators.output", "np.repeat(np.sign(weights), counts)", "np.repeat(weights, counts)", ("over", "set_operation", "join")),
    Fault("a row without weight is taken back in a union", "engine.operators.union", "pa.scalar(1, f.type)", "pa.scalar(-1, f.type)", ("set_operation",)),
    Fault("the query's own rows never come", "engine.operators.constant", "if not turn.is_first:", "if turn.is_first:", ("values",)),
    # Joins.
    Fault("the weight of a side is dropped", _JOIN, 'f"t{at}.{WEIGHT}" if self._bag.is_changelog else "1::BIGINT"', '"1::BIGINT"', ("join",)),
    Fault("all rows of a changed side are joined again", _JOIN, "tables[at] = bags[at].delta", "tables[at] = bags[at].rows", ("join",)),
    Fault("what a change touches is asked of the change before", _JOIN, "        self._bag.show(change)\n        self._input.table", "        self._input.table", ("join",)),
    Fault("the rows before a change stay", _JOIN, "UNION ALL SELECT {casts}, -1 AS _w", "UNION ALL SELECT {casts}, 0 AS _w", ("join",)),
    Fault("a side's own watermark forgets", _JOIN, "(i != at or not side.is_linear)", "(i == at or not side.is_linear)", ("interval_join",)),
    Fault("rows are forgotten before their last partner", _JOIN, 'return f"({side.forget_us}) <= {until}"', 'return f"({side.forget_us}) <= {until} + 8000000"', ("interval_join", "window_join")),
    Fault("late rows are joined", _JOIN, "late.without(delta, turn) if late is not None else delta", "delta", ("interval_join", "window_join")),
    # Time.
    Fault("a row whose window ends at its watermark is in time", _LATE, "pc.greater_equal(rows.column(LATE_BY), end)", "pc.greater(rows.column(LATE_BY), end)", ("windowed",)),
    Fault("allowed lateness allows nothing", _LATE, "pa.scalar(lateness_us, pa.int64())", "pa.scalar(0, pa.int64())", ("windowed",)),
    Fault("a row at its watermark is late in a join", _LATE, "{LATE_BY} >= ({late_us})", "{LATE_BY} >= ({late_us}) - 1", ("interval_join",)),
    Fault("windows close before the allowed lateness", _LATE, "else watermark_us - lateness_us", "else watermark_us", ("windowed",)),
    Fault("a row with a NULL time is in a window", "engine.operators.compute", "return self._without_null_times(out, turn) if self._plan.is_windowed else out", "return out", ("windowed",)),
    Fault("the watermark does not wait", _MARKS, "rising[1:] -= self._delay_us", "rising[1:] -= 0", ("windowed",)),
    Fault("a silent partition holds nobody back", _MARKS, "np.minimum(lowest, self._less_delay(high), out=lowest)", "pass", ("windowed",)),
    Fault("an idle partition holds the others back", _MARKS, "elif p not in self._idle and p not in self._ended:", "elif p not in self._ended:", ("windowed",)),
    Fault("a row is judged by its own partition alone", _MARKS, "return np.maximum(own, source, out=own), after", "return own, after", ("windowed",)),
    Fault("a partition falls idle at once", _MARKS, "if now_us - last >= self._idle_timeout_us:", "if now_us >= last:", ("windowed",)),
    Fault("the watermark alone closes no window", "engine.wave", "if is_first or turn.has_moved or any(", "if is_first or any(", ("windowed",)),
    Fault("a row sees its own watermark in a join", "engine.timeline", 'side="right"', 'side="left"', test="tests/property/test_arrival.py"),
    Fault("a joined row is judged by the higher watermark", "engine.timeline", "lowest = np.minimum(lowest, part.before(numbers))", "lowest = np.maximum(lowest, part.before(numbers))",
          test="tests/unit/engine/test_join.py"),
    Fault("a watermark rises before its row", "engine.inlet", "us, behind=True)", "us, behind=False)", test="tests/unit/engine/test_inlet.py"),
    Fault("a value that does not fit is handed on", "planner.lower", "and e.name not in cast and", "and", test="tests/unit/engine/test_picked.py"),
    Fault("what reads two columns follows from one", "planner.follows", "columns and all(c == column for c in columns)", "columns", test="tests/unit/planner/test_follows.py"),
    Fault("a filter that is NULL lets a row through", "engine.sieve", "passes.fill_null(0)", "passes.fill_null(1)", test="tests/unit/engine/test_sieve.py"),
    Fault("a bad row takes others along", "engine.operators.compute", "todo += [part.slice(half), part.slice(0, half)]", "todo += [part.slice(half)]",
          test="tests/unit/app/test_execute.py"),
    Fault("OVER on close skips rows at the watermark before", "engine.operators.waiting", "WHERE {WINDOW_END} >= {first} AND", "WHERE {WINDOW_END} > {first} AND", ("over_on_close",)),
    Fault("OVER on close waits for no rows that follow", "planner.over_close", "max(closing.ahead_us, self._ahead_us())", "max(closing.ahead_us, 0 * self._ahead_us())", ("over_on_close",)),
    Fault("a version is not valid from its own time on", "planner.as_of", "test = exp.GTE(", "test = exp.GT(", test="tests/property/test_versions.py"),
    Fault("a row by the clock is late", "engine.operators.clocked", "pa.nulls(rows.num_rows, LATE_FIELD.type)", "pa.repeat(pa.scalar(2**62, LATE_FIELD.type), rows.num_rows)",
          test="tests/property/test_processing_time.py"),
    # Behind windows.
    Fault("a closed window's row arrives after the row that closed it", "engine.timeline", "return steps.at[np.searchsorted(steps.us, us)] - 1", "return steps.at[np.searchsorted(steps.us, us)]", ("chained",)),
    Fault("the watermark behind windows forgets the lateness", "engine.wave", "timeline and timeline.behind(step.operator.lag_us)", "timeline", ("chained",)),
    Fault("windows parted by their end are forgotten too early", "engine.operators.partition", "plan.end or 0])}) <= {until}", "plan.end or 0])}) <= {until} + 10000000", ("chained",)),
    Fault("a changelog of windows closes before it is settled", "engine.operators.recompute", 'self._bag.delete(f"{WINDOW_END} <= {until}")', 'self._bag.delete(f"{WINDOW_END} <= {until} + 60000000")', ("chained",)),
    Fault("rows that are held are forgotten the wrong way round", "engine.operators.held", "filter(pc.invert(is_gone))", "filter(is_gone)", test="tests/unit/engine/test_held.py"),
    # Sessions.
    Fault("events a gap apart are two sessions", "engine.sessions.spans", "[:-1] > gap_us)", "[:-1] >= gap_us)", ("session",)),
    Fault("a session that ends at its watermark is open for a row", "engine.sessions.judge", "if last + reach <= row.mark:", "if last + reach < row.mark:", ("session",)),
    Fault("a session that ends at the watermark stays open", "engine.sessions.table", 'is_closed = (s["last"] <= due)', 'is_closed = (s["last"] < due)', ("session",)),
    Fault("states stay behind when sessions become one", "engine.operators.session_group", 'if self._inputs["moved"].table.num_rows:', "if not deltas:", ("session",)),
    Fault("what sessions held is lost when they become one", "engine.operators.session_running", "*_one_each(of, old.values)):", "*_one_each(of, old.values)[:0]):", ("session",)),
    Fault("the old result of a session is not taken back", "engine.operators.session_running", "is_taken = had & ~(is_same & has[of])", "is_taken = had & ~has[of]", ("session",)),
    Fault("rows of a session that grows are not taken back", "engine.operators.sessions", 'given(-1, "m", moved)', 'given(1, "m", moved)', ("session",)),
    # Lookups.
    Fault("the first row of a cache is not found", "engine.operators.lookup", "keep &= place >= 0", "keep &= place > 0", ("lookup",)),
    Fault("who finds nothing gets a row of the cache", "engine.operators.lookup", "pa.array(place, mask=place < 0)", "pa.array(np.maximum(place, 0))", ("lookup",)),
    Fault("what a row found is given again, not taken back", "engine.operators.remember", "-1::BIGINT AS {WEIGHT} ", "1::BIGINT AS {WEIGHT} ", ("lookup",)),
    Fault("what a row found is never forgotten", "engine.operators.remember", 'self._database.execute(f"EXECUTE {self._statements[2]}")', "pass", ("lookup",)),
    # Rules for joins.
    Fault("the right side of a SEMI JOIN is linear", "planner.joins", 'if kind in ("LEFT", "SEMI", "ANTI", "ASOF", "ASOF LEFT"):', 'if kind in ("LEFT", "ANTI", "ASOF", "ASOF LEFT"):', ("join", "subquery")),
    Fault("the left side of a RIGHT JOIN is linear", "planner.joins", "        legs[0].is_linear = False\n        legs[0].touched", "        legs[0].touched", ("join",)),
    Fault("a FULL JOIN touches what the left side has", "planner.joins", 'exp.func("coalesce", x.copy(), r.copy())', "x.copy()", ("join",)),
    Fault("a LEFT JOIN takes nothing back", "planner.joins", 'kind not in ("INNER", "SEMI")', 'kind not in ("INNER", "SEMI", "LEFT")', ("join",)),
    Fault("rows that an ASOF JOIN cannot tell apart all stay", "planner.joins", "return first_of_each(right, columns)", "return right", ("asof",)),
    Fault("a WHERE within a join is left out", "planner.joins", "op = replace(op, where=plain, columns=list(op.columns))", "op = replace(op, columns=list(op.columns))", ("join",)),
    Fault("a row of an interval join is forgotten at its own time", "planner.bounds", "_set(left, a, (-bounds.low if left.is_linear else whole) + 1)", "_set(left, a, 1)", ("interval_join",)),
    Fault("a row at the watermark is late", "planner.bounds", "leg.late_us = _plus(column, 1)", "leg.late_us = _plus(column, 0)", ("interval_join",)),
    Fault("USING shows the right side of a LEFT JOIN", "planner.from_clause", 'merged = {"RIGHT": own,', 'merged = {"LEFT": own, "RIGHT": own,', ("join",)),
    Fault("an index takes every join for an inner one", "planner.lookup", "lookups.append(Lookup(match.cache.id, match.keys, columns, match.is_inner))",
          "lookups.append(Lookup(match.cache.id, match.keys, columns, True))", ("lookup",)),
    Fault("a filter of the right side is asked below a LEFT JOIN", "planner.push", 'sides[at - 1] in ("LEFT", "FULL")', 'sides[at - 1] in ("FULL",)', ("join",)),
    # Rules for columns and conditions.
    Fault("a name in USING is the left column's", "planner.scope", "found.append((1, self.merged[key]))", "found += [(1, c.ref) for i in self.items for c in [i.find(key)] if c]", ("join",)),
    Fault("REPLACE replaces nothing", "planner.select_list", "changed.get(n.lower(), e)", "e", ("projection",)),
    Fault("a condition is left out", "planner.level", "for w in self.where:", "for w in self.where[1:]:", ("projection",)),
    Fault("of several conditions the last counts", "planner.blocks", "left += rest", "left = rest", ("projection", "join")),
    Fault("HAVING is left out", "planner.block", "[*expressions.having, *expressions.qualify]", "[*expressions.qualify]", ("grouped",)),
    Fault("the sides of a join change places", "planner.lower_join", "for i, columns in enumerate(read) for c in columns}", "for i, columns in enumerate(reversed(read)) for c in columns}", ("join",)),
    Fault("a union forgets weights", "planner.lower", "if any(WEIGHT in p.schema.names for p in parts):", "if all(WEIGHT in p.schema.names for p in parts):", ("set_operation",)),
    # Rules for order.
    Fault("ties are left open", "planner.over", "others = ties(columns, sorted_by(given))", "others = ties(columns[:0])", ("over",)),
    Fault("a key of one window parts them all", "planner.over", "if all(n in s for s in sets)", "if any(n in s for s in sets)", ("over",)),
    Fault("NULLs break ties first", "planner.order", "return [exp.Ordered(this=c.ref, nulls_first=False) for c in columns", "return [exp.Ordered(this=c.ref, nulls_first=True) for c in columns", ("distinct_on", "qualify", "top")),
    Fault("OFFSET skips one row less", "planner.over", 'f"{row} > {start}"', 'f"{row} >= {start}"', ("top",)),
    Fault("LIMIT lets one row less through", "planner.over", 'f"{row} <= {start} + ', 'f"{row} < {start} + ', ("top",)),
    Fault("latest is the oldest", "planner.order", "desc=True, nulls_first=False", "desc=False, nulls_first=False", ("latest",)),
    Fault("ties of arg_max and its kin are left open", "planner.ties", "    if name in TIED:\n        return ties(columns)", "    if name in TIED:\n        return ties(reversed(columns))", ("grouped",)),
    # Rules for sets, groups, subqueries, windows.
    Fault("EXCEPT ALL and INTERSECT ALL count no rows", "planner.sets", "'' if is_distinct else ' ALL'", "''", ("set_operation",)),
    Fault("UNION keeps duplicates", "planner.sets", "    if is_distinct:\n", "    if not parts:\n", ("set_operation",)),
    Fault("BY NAME goes by position", "planner.sets", "by_label.get(c.label.lower()) if is_by_name else result.columns[i]", "result.columns[i]", ("set_operation",)),
    Fault("NOT IN knows no NULL", "planner.subqueries", "asked.tests(value, right.columns)[wants_none]", "asked.tests(value, right.columns)[False]", ("subquery",)),
    Fault("NOT EXISTS is EXISTS", "planner.subqueries", '"ANTI" if wants_none else "SEMI", on, part', '"SEMI", on, part', ("subquery",)),
    Fault("count() over nothing is NULL", "planner.subqueries", "exp.Literal.number(0) if is_count else exp.null()", "exp.null()", ("subquery", "lateral")),
    Fault("a row is marked twice", "planner.subqueries", 'rest = join(self._ctx, rest, right, "ANTI", on)', "pass", ("subquery",)),
    Fault("GROUPING() says the opposite", "planner.grouping", 'value = value * 2 + (e.sql("duckdb") not in own)', 'value = value * 2 + (e.sql("duckdb") in own)', ("grouping_sets",)),
    Fault("ROLLUP has no total", "planner.grouping", "range(len(units), -1, -1)", "range(len(units), 0, -1)", ("grouping_sets",)),
    Fault("no watermark closes a window", "planner.grouping", "return next((known[k.window] for k in keys if k.window in known), None)", "return None", ("windowed",)),
    Fault("DISTINCT within an aggregate is merged", "planner.grouping", "is_mergeable = core.find(exp.Distinct) is None and order is None", "is_mergeable = order is None", ("grouped",)),
    Fault("a changelog is merged", "planner.nodes", "return not self.is_input_changelog and all(c.is_mergeable for c in self.calls)", "return all(c.is_mergeable for c in self.calls)", ("grouped",)),
    Fault("SELECT DISTINCT is SELECT", "planner.ending", 'elif self._select.args.get("distinct") is not None:', 'elif self._select.args.get("distinct") is False:', ("distinct",)),
    Fault("HOP has a window that ended", "planner.window_sql", "generate_series({before} + {step}, {near}, {step})", "generate_series({before}, {near}, {step})", ("windowed",)),
    Fault("CUMULATE has a window that ended", "planner.window_sql", "generate_series({near} + {step}, {whole} + {size}, {step})", "generate_series({near}, {whole} + {size}, {step})", ("windowed",)),
    Fault("the first window of a row is left out", "planner.window_sql", "::BIGINT + 1) * {slide}", "::BIGINT + 2) * {slide}", ("row_window",)),
    Fault("a window of rows is full too early", "engine.operators.fill", "{plan.number} = {plan.end} - 1", "{plan.number} = {plan.end} - 2", ("row_window",)),
    Fault("a full window of rows waits on", "engine.operators.fill", "self._database.delete(self._table, self._forget)", "pass", ("row_window",)),
    Fault("full windows of rows are told as one", "engine.operators.whole", "FROM {t.source} {t.group_by}) ORDER BY ALL", "FROM {t.source} {t.group_by}) ORDER BY ALL LIMIT 1", ("row_window",)),
    Fault("rows of a key are counted anew in each epoch", "engine.operators.number", "coalesce(c.total, 0)", "coalesce(0, c.total)", ("row_window",)),
    Fault("rows of NULL are counted anew", "engine.operators.number", "c.{k} IS NOT DISTINCT FROM r.{k}", "c.{k} = r.{k}", ("row_window",)),
    Fault("the start of a window does not close it", "planner.assign", "start.window = end.window = end.name\n            if call", "end.window = end.name\n            if call", ("windowed",)),
    Fault("a group may be of several sessions", "planner.sessions", "return found if all(k.name in keys for k in found.keys) else None", "return found", ("session",)),
    Fault("windows are not shifted", "planner.windows", "    if shift:\n", "    if not time:\n", ("windowed",)),
)  # fmt: skip
