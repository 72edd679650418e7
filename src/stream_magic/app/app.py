"""`App`: statements in, a running graph out.

`execute` is the main flow: parse the cell, check every statement on a draft, and only if all are
right change the running graph between two epochs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stream_magic.app.describe import describe, explain_name, show
from stream_magic.app.draft import Definition, Draft
from stream_magic.app.handle import Handle
from stream_magic.app.history import missing_history
from stream_magic.app.interrupts import uninterrupted
from stream_magic.app.secrets import SecretStore
from stream_magic.app.session import session
from stream_magic.app.snapshot import snapshot
from stream_magic.app.statements import Handlers
from stream_magic.core.clock import Clock, SystemClock
from stream_magic.engine.dataflow import QueryNode, RunningNode, SourceNode, TargetNode
from stream_magic.engine.feeds import EngineFeed, NodeFeed, lag_s, state_of
from stream_magic.engine.worker import Engine
from stream_magic.errors import (
    CellError,
    ConfigError,
    InternalError,
    LanguageError,
    Span,
    StreamMagicError,
)
from stream_magic.language.binder import Binder
from stream_magic.language.catalog import Catalog, Relation
from stream_magic.language.parser import parse, parse_query
from stream_magic.language.statements import (
    Create,
    CreateStream,
    Describe,
    Drop,
    Explain,
    Name,
    Select,
    SetOption,
    Show,
    Statement,
)
from stream_magic.planner.build import build
from stream_magic.planner.explain import explain

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

_PUSH_WAIT_S = 1.0


class App:
    """A streaming app: sources, queries, caches and targets, run by a background engine.

    Args:
        name: shown in messages and part of marks in targets.
        state: a folder for durable state; not supported yet, the app lives in memory.
        clock: for tests (`contracts.testkit.ManualClock`); the machine's clock without it.

    All methods may be called from any thread.
    """

    def __init__(
        self, name: str = "main", state: str | Path | None = None, clock: Clock | None = None
    ) -> None:
        if state is not None:
            hint = "leave state out: the app lives in memory, and positions begin anew with the process"
            raise ConfigError("SM7040", "state in a folder is not supported yet", hint=hint)
        self.name = name
        self.clock: Clock = clock or SystemClock()
        self.warnings: list[str] = []
        self._engine = Engine(name, self.clock)
        self._binder = Binder(session().functions)
        self._catalog = Catalog()
        self._definitions: dict[str, Definition] = {}
        self._secrets = SecretStore()
        self._settings: dict[str, str] = {}
        self._handlers = Handlers(self._engine, self._binder)
        self._one_cell = (
            threading.RLock()
        )  # cells of several threads take effect one after the other
        session().add(self)

    def __repr__(self) -> str:
        state = "paused" if self.is_paused else "running" if self.is_started else "stopped"
        return f"<App {self.name}: {len(self._definitions)} nodes, {state}>"

    # --- statements ----------------------------------------------------------------------------------

    def execute(self, sql: str) -> Any:
        """Runs the statements of a cell: all of them, or none.

        A statement that says the same as before changes nothing; one that says something else
        replaces its node and what reads it. Does not start the app.

        Returns:
            What the last statement shows: an Arrow table for SHOW, DESCRIBE and SELECT, a text for EXPLAIN, else None.

        Raises:
            StreamMagicError: the one error of the cell, or CellError with all of them.
        """
        return self._run(parse(sql, allow_select=True))

    def create_query(
        self, name: str, select: str, check: Callable[[Relation], None] | None = None
    ) -> Handle:
        """The SELECT of a cell as a stream called `name`: what `%%cq NAME` does.

        Args:
            name: of the stream.
            select: the query.
            check: is told the columns before anything changes; if it raises, nothing does.
        """
        query = parse_query(select)
        place = Name(name, Span(select, query.span.start, query.span.start))
        with self._one_cell:
            draft = self._drafted([CreateStream(span=query.span, name=place, query=query)])
            if check is not None:
                check(draft.catalog.find(name))
            self._apply(draft)
        return self[name]

    def sql(self, select: str) -> DuckDBPyRelation:
        """A snapshot query over tables, caches and what streams retain, at one committed epoch.

        The relation is on a connection of its own: nothing that is done with it touches the engine.
        """
        return snapshot(select, self._engine, self._catalog, self._binder)

    def __getitem__(self, name: str) -> Handle:
        """A stream, table, cache, source, or `errors.NAME`.

        Raises:
            LanguageError: SM2002, with the nearest name.
        """
        self._catalog.find(name)
        return Handle(NodeFeed(self._engine, name))

    def __contains__(self, name: str) -> bool:
        return name in self._catalog

    def names(self) -> list[str]:
        """Names that may stand in FROM, as written."""
        return self._catalog.names()

    def schema(self, name: str) -> pa.Schema:
        return self._catalog.find(name).schema

    @property
    def feed(self) -> EngineFeed:
        """The whole app as the flow graph sees it."""
        return EngineFeed(self._engine)

    # --- rows by hand --------------------------------------------------------------------------------

    def push(
        self, name: str, rows: Any, weights: list[int] | None = None, partition: int = 0
    ) -> None:
        """Gives rows to a memory source: an Arrow table, a DataFrame or a list of dicts.

        Args:
            name: a source WITH (connector = 'memory').
            rows: all are taken, or none.
            weights: +1 or -1 for each row, of a source with `changelog = true`.
            partition: one of its partitions.

        Raises:
            DataError: a value does not fit.
            ConfigError: not a memory source.

        Blocks on a full queue only while the app runs.
        """
        source = self._memory(name)
        while (
            self._engine.is_started
            and not self._engine.is_paused
            and not source.wait_for_room(_PUSH_WAIT_S)
        ):
            pass
        self._engine.check()
        source.push(rows, weights, partition)
        self._engine.wake()

    def end(self, name: str) -> None:
        """A memory source has ended: its watermark goes to the end of time."""
        self._memory(name).end()
        self._engine.wake()

    # --- running -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Runs in the background. Sources start last. Does nothing if it runs."""
        self._engine.start()

    def stop(self) -> None:
        """Sources stop first, targets deliver what they have. Does nothing if it never started."""
        self._engine.stop()

    def close(self) -> None:
        """Stops, and forgets everything."""
        session().forget(self)
        self._engine.close()
        self._catalog, self._definitions = Catalog(), {}

    def pause(self) -> None:
        """No epoch begins until `resume`."""
        self._engine.pause()

    def resume(self) -> None:
        self._engine.resume()

    def step(self) -> None:
        """One epoch by hand, when not started or paused: takes all that was pushed before the call, also nothing.

        Raises:
            ConfigError: the app is running.
        """
        with uninterrupted():
            self._engine.step()

    def drain(self, timeout_s: float = 60) -> None:
        """Waits until bounded sources have ended, queues are empty and targets have everything.

        An app that was not started takes steps until then.

        Raises:
            TimeoutError: it takes longer.
        """
        if not self._engine.drain(timeout_s):
            waiting = ", ".join(f"{n}: {s['state']}" for n, s in self.status().items())
            raise TimeoutError(f"{self.name} was not drained within {timeout_s:g} s ({waiting})")

    @property
    def is_started(self) -> bool:
        return self._engine.is_started

    @property
    def is_paused(self) -> bool:
        return self._engine.is_paused

    @property
    def epoch(self) -> int:
        """The last committed epoch."""
        return self._engine.epoch

    def status(self) -> dict[str, dict[str, Any]]:
        """Every node by name: kind, state, rows_in, rows_out, rows_per_s, lag_s (seconds, or None), errors, epoch, message."""
        with self._engine.between_epochs() as flow:
            return {node.relation.name: self._status_of(node) for node in flow}

    # --- inside --------------------------------------------------------------------------------------

    def _run(self, statements: list[Statement]) -> Any:
        with self._one_cell:
            self._apply(self._drafted(statements))
            return self._show(statements[-1]) if statements else None

    def redrafted(self, function: str) -> Callable[[], None]:
        """Plans anew what calls a Python function; gives what makes it real."""
        with self._one_cell:
            draft = self._draft()
            self._handlers.redefined(function, draft)
        return lambda: self._apply(draft)

    def _draft(self) -> Draft:
        return Draft(
            self._catalog.copy(), dict(self._definitions), self._secrets.copy(), dict(self._settings)
        )  # fmt: skip

    def _drafted(self, statements: list[Statement]) -> Draft:
        """What the app would be after these statements."""
        draft = self._draft()
        errors: list[StreamMagicError] = []
        failed: set[str] = set()
        for i, statement in enumerate(statements):
            restated = {s.name.key for s in statements[i + 1 :] if isinstance(s, Create)}
            try:
                self._check(statement, draft, restated)
            except CellError as e:
                errors.extend(e.errors)
                failed |= _name_of(statement)
            except StreamMagicError as e:
                if not _follows_from(e, failed):
                    errors.append(e)
                failed |= _name_of(statement)
        if errors:
            raise errors[0] if len(errors) == 1 else CellError(errors)
        return draft

    def _check(self, statement: Statement, draft: Draft, restated: set[str]) -> None:
        if isinstance(statement, Create):
            self._handlers.create(statement, draft, restated)
        elif isinstance(statement, Drop):
            self._handlers.drop(statement, draft)
        elif isinstance(statement, SetOption):
            self._handlers.set_option(statement, draft)
        elif isinstance(statement, Explain) and statement.query is not None:
            if statement.is_analyze:
                raise LanguageError(
                    "SM2040", "EXPLAIN ANALYZE tells what a running query did: this one does not run",
                    hint="CREATE STREAM n AS SELECT ..., then EXPLAIN ANALYZE n", span=statement.span,
                )  # fmt: skip
            build(statement.query, draft.catalog, self._binder)
        elif isinstance(statement, Describe) and statement.what == "node":
            draft.catalog.find(
                statement.name.text, statement.name.span
            ) if statement.name.key not in draft.definitions else None

    def _apply(self, draft: Draft) -> None:
        """The draft becomes real between two epochs."""
        gone = [*reversed(list(draft.makers)), *draft.dropped]
        with uninterrupted():
            self._engine.stop_nodes(gone)
            with self._engine.between_epochs():
                self._replace(gone, draft)

    def _replace(self, gone: list[str], draft: Draft) -> None:
        before = {name: self._engine.flow.get(name) for name in gone}
        results = {
            n: node.log.history()
            for n, node in before.items()
            if isinstance(node, QueryNode) and node.log
        }
        for name in gone:
            self._engine.remove(name)
        for name in draft.dropped:
            self._engine.forget(name)
        failed: list[str] = []
        for name, make in list(draft.makers.items()):
            try:
                node = make()
            except Exception as e:  # noqa: BLE001  # our fault: the others must not be left half made
                failed.append(f"{draft.definitions[name].relation.name}: {e}")
                draft.drop(name)
                continue
            _continue(node, before.get(name), results.get(name))
            self._engine.add(node)
        self._catalog, self._definitions = draft.catalog, draft.definitions
        self._secrets, self._settings = draft.secrets, draft.settings
        self.warnings = draft.warnings
        self._engine.settle()
        self._warn_of_history(draft)
        if failed:
            raise InternalError("SM9002", f"these could not be made: {'; '.join(failed)}")

    def _warn_of_history(self, draft: Draft) -> None:
        """New queries over streams that have let rows go."""
        for name in draft.makers:
            node = self._engine.flow.get(name)
            if isinstance(node, QueryNode) and node.complete_from:
                self.warnings.extend(missing_history(node, self._engine.flow))

    def _show(self, statement: Statement) -> Any:
        if isinstance(statement, Show):
            return show(statement, self.status(), self._secrets, self._settings)
        if isinstance(statement, Describe):
            return describe(statement, self._definitions, self._catalog, self._engine)
        if isinstance(statement, Explain):
            if statement.query is not None:
                return explain(build(statement.query, self._catalog, self._binder))
            return explain_name(statement, self._engine)
        if isinstance(statement, Select):
            span = statement.query.span
            return self.sql(span.text[span.start : span.end]).to_arrow_table()
        return None

    def _memory(self, name: str) -> Any:
        node = self._engine.flow.get(name)
        if node is None:
            self._catalog.find(name)
        source = node.reader.source if isinstance(node, SourceNode) else None
        if source is None or not hasattr(source, "push"):
            raise ConfigError(
                "SM7022",
                f"'{name}' is no memory source",
                hint=f"CREATE SOURCE {name} (...) WITH (connector = 'memory')",
            )
        return source

    def _status_of(self, node: RunningNode) -> dict[str, Any]:
        state, message = state_of(node, self._engine)
        is_target = isinstance(node, TargetNode)
        return {
            "kind": node.relation.kind,
            "state": state,
            "rows_in": node.metrics.rows_in,
            "rows_out": node.deliverer.delivered_rows
            if isinstance(node, TargetNode)
            else node.metrics.rows_out,
            "rows_per_s": node.metrics.rate.per_second(self.clock.monotonic_s()),
            "lag_s": lag_s(node, self._engine),
            "errors": node.metrics.errors,
            "epoch": node.deliverer.delivered_epoch
            if isinstance(node, TargetNode) and is_target
            else self._engine.epoch,
            "message": message,
        }


def _continue(node: RunningNode, before: RunningNode | None, result: pa.Table | None) -> None:
    """What a new node takes over from the one that it replaces."""
    if isinstance(node, QueryNode) and isinstance(before, QueryNode) and result is not None:
        is_same = before.relation.stream_schema.equals(node.relation.stream_schema)
        if is_same or not node.relation.is_changelog:
            node.previous = result
    if isinstance(node, TargetNode) and isinstance(before, TargetNode) and node.has_history:
        node.deliverer.adopt(before.deliverer)


def _name_of(statement: Statement) -> set[str]:
    return {statement.name.key} if isinstance(statement, Create) else set()


def _follows_from(error: StreamMagicError, failed: set[str]) -> bool:
    """An unknown name that an earlier statement of this cell failed to create is not worth a second message."""
    return (
        isinstance(error, LanguageError)
        and error.code == "SM2002"
        and any(f"'{n}'" in error.message.lower() for n in failed)
    )
