"""GROUP BY over SESSION, session by session: its state is kept by session, and forgotten when that closes."""

from __future__ import annotations

import re
from collections import Counter

from sqlglot import exp

from stream_magic.core.change import SEQ
from stream_magic.planner.context import Context
from stream_magic.planner.logical import Group, Map, Op, Sessioned, inputs_of, used, walk


def sessions_below(op: Op) -> Sessioned | None:
    """The sessions whose rows these are, each computed alone, without the bounds."""
    expressions: list[exp.Expr] = []
    while isinstance(op, Map):
        if op.checked is not None or op.sign:
            return None
        expressions += [*(e for _, e in op.items), *op.where, *op.joins]
        op = op.input
    if not isinstance(op, Sessioned) or used(expressions) & {op.start.name, op.end.name}:
        return None
    return op


def session_of(op: Op, keys: set[str]) -> Sessioned | None:
    """The sessions, if rows with the same values of these keys are of one session."""
    found = sessions_below(op)
    if found is None or not keys & {b.name for b in found.bounds}:
        return None
    return found if all(k.name in keys for k in found.keys) else None


def group_sessions(ctx: Context, root: Op) -> None:
    """Finds the groups that are made session by session. In place."""
    readers = Counter(id(below) for op in walk(root) for below in inputs_of(op))
    for op in walk(root):
        if not isinstance(op, Group):
            continue
        found = sessions_below(op.input)
        if found is not None and _is_alone(op.input, readers) and _is_by_session(op, found):
            op.sessions = found
            found.is_numbered = True
        elif not op.is_changelog and sessions_of(op.input):
            refuse_drawn(ctx, op.input)
        elif any(_mentions(c.sql, SEQ) for c in op.calls):
            _refuse_arrival(ctx, op)


def _is_alone(op: Op, readers: Counter[int]) -> bool:
    while isinstance(op, Map) and readers[id(op)] == 1:
        op = op.input
    return readers[id(op)] == 1


def _is_by_session(group: Group, sessions: Sessioned) -> bool:
    """A group is a part of one session; or of such that close at once, if it waits for that."""
    keys = {k.name for _, k in group.keys}
    if any(_mentions(c.sql, bound.name) for c in group.calls for bound in sessions.bounds):
        return False
    if group.emit == "close" and sessions.end.name in keys:
        return True
    return session_of(group.input, keys) is not None


def sessions_of(op: Op) -> bool:
    """Rows of sessions, however they are computed."""
    while isinstance(op, Map):
        op = op.input
    return isinstance(op, Sessioned)


def refuse_drawn(ctx: Context, op: Op) -> None:
    """What is drawn when a row comes cannot be drawn when the watermark passes it: here, that is only known behind it."""
    expressions: list[exp.Expr] = []
    while isinstance(op, Map):
        expressions += [*(e for _, e in op.items), *op.where, *op.joins]
        op = op.input
    drawn = [e for e in expressions if ctx.volatile.is_drawn(e)]
    if drawn:
        raise ctx.drawn_here(*ctx.volatile.named(drawn[0]))


def _refuse_arrival(ctx: Context, group: Group) -> None:
    """An answer by arrival over rows that are taken back when their session grows."""
    if any(isinstance(op, Sessioned) and op.is_changelog for op in walk(group)):
        raise ctx.refuse(
            "SM3046", "what goes by arrival is not settled here, where rows change with their session",
            "GROUP BY window_start, window_end and the keys of SESSION, or say ORDER BY", None,
        )  # fmt: skip


def _mentions(sql: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", sql) is not None
