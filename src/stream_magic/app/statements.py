"""One handler for each statement. A handler checks and drafts; `App` makes the draft real."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import duckdb
import pyarrow as pa

from stream_magic.app.draft import Definition, Draft
from stream_magic.app.plugins import Plugins
from stream_magic.contracts.options import SourceOptions
from stream_magic.engine.batches import Decoder
from stream_magic.engine.dataflow import (
    CacheNode,
    QueryNode,
    RunningNode,
    SourceNode,
    TargetNode,
    make_log,
)
from stream_magic.engine.delivery import Deliverer
from stream_magic.engine.ingest import make_reader
from stream_magic.engine.logs import ResultLog, StreamLog
from stream_magic.engine.lookup import CacheLoader
from stream_magic.engine.program import Program
from stream_magic.engine.watermarks import WatermarkTracker
from stream_magic.engine.worker import Engine
from stream_magic.errors import CellError, ConfigError, LanguageError, Span, StreamMagicError
from stream_magic.language.binder import Binder
from stream_magic.language.catalog import Relation
from stream_magic.language.parser import render
from stream_magic.language.statements import (
    Create,
    CreateCache,
    CreateSecret,
    CreateSource,
    CreateStream,
    CreateTable,
    CreateTarget,
    Drop,
    SetOption,
)
from stream_magic.planner.build import build
from stream_magic.planner.identity import keys

Made = tuple[Relation, Callable[[], RunningNode], str]


class Handlers:
    """Checks statements against a draft."""

    def __init__(self, engine: Engine, binder: Binder) -> None:
        self._engine = engine
        self._binder = binder
        self._plugins = Plugins(engine.name, engine.state_id, engine.clock, engine.arrivals, binder)

    def create(self, s: Create, draft: Draft, restated: set[str]) -> None:
        """A new name, a changed one (with all that reads it), or nothing if it says the same as before.

        Args:
            s: the statement.
            draft: is changed.
            restated: ids that later statements of the cell create: they are not rebuilt here.
        """
        if isinstance(s, CreateSecret):
            draft.secrets.create(s)
            return
        if "." in s.name.text:
            hint = f"write {s.name.text.replace('.', '_')}"
            raise LanguageError("SM2039", "a name has no dot in it", hint=hint, span=s.name.span)
        known = draft.definitions.get(s.name.key)
        fingerprint = render(dataclasses.replace(s, or_replace=False, if_not_exists=False))
        if known is not None:
            if s.if_not_exists:
                s, fingerprint = known.statement, known.fingerprint
            if known.fingerprint == fingerprint and s.name.key not in draft.rebuilt:
                return
        self._put(s, fingerprint, draft, is_rebuilt=False)
        if known is not None:
            self._rebuild_readers(s.name.key, draft, restated)

    def drop(self, s: Drop, draft: Draft) -> None:
        if s.kind == "secret":
            if not draft.secrets.drop(s.name.key) and not s.if_exists:
                raise LanguageError(
                    "SM2002", f"there is no secret '{s.name.text}'", span=s.name.span
                )
            return
        known = draft.definitions.get(s.name.key)
        if known is None:
            if s.if_exists:
                return
            draft.catalog.find(s.name.text, s.name.span)
            raise LanguageError("SM2002", f"'{s.name.text}' cannot be dropped", span=s.name.span)
        if s.kind is not None and s.kind != known.relation.kind:
            hint = f"write DROP {known.relation.kind.upper()} {known.relation.name}"
            raise LanguageError(
                "SM2031",
                f"{known.relation.name} is a {known.relation.kind}",
                hint=hint,
                span=s.name.span,
            )
        readers = draft.readers(s.name.key)
        if readers:
            names = ", ".join(d.relation.name for d in readers)
            raise LanguageError(
                "SM2032",
                f"{names} reads {known.relation.name}",
                hint=f"drop {names} first",
                span=s.name.span,
            )
        draft.drop(s.name.key)

    def set_option(self, s: SetOption, draft: Draft) -> None:
        name = s.name.key
        if name == "state":
            raise ConfigError(
                "SM7040", "state in a folder is not supported yet: an app lives in memory",
                hint="leave it out", span=s.name.span,
            )  # fmt: skip
        if name != "retention":
            raise ConfigError(
                "SM7041",
                f"there is no setting '{s.name.text}'",
                hint="there is: retention",
                span=s.name.span,
            )
        draft.settings[name] = str(read_retention(str(s.value.value), s.value.span))

    def redefined(self, function: str, draft: Draft) -> None:
        """A Python function has changed: what calls it is planned again, and what reads that."""
        for known in list(draft.definitions.values()):
            if known.calls(function):
                self._rebuild(known, function, draft)
                self._rebuild_readers(known.relation.id, draft, set())

    # --- nodes ---------------------------------------------------------------------------------------

    def _put(self, s: Create, fingerprint: str, draft: Draft, *, is_rebuilt: bool) -> None:
        relation, make, address = self._make(s, draft)
        self._refuse_circle(relation, draft, s)
        definition = Definition(s, fingerprint, relation, address)
        draft.put(definition, make, is_rebuilt=is_rebuilt)

    def _make(self, s: Create, draft: Draft) -> Made:
        """What a plugin finds wrong has no place in the cell of its own: it stands at the name."""
        try:
            return self._made(s, draft)
        except StreamMagicError as e:
            e.span = e.span or s.name.span
            raise

    def _made(self, s: Create, draft: Draft) -> Made:
        if isinstance(s, CreateSource):
            return self._source(s, draft)
        if isinstance(s, CreateStream | CreateTable):
            return self._query(s, draft)
        if isinstance(s, CreateCache):
            return self._cache(s, draft)
        if isinstance(s, CreateTarget):
            return self._target(s, draft)
        raise TypeError(s)

    def _rebuild_readers(self, name: str, draft: Draft, restated: set[str]) -> None:
        """What reads a changed name is planned again from its own statement."""
        for reader in draft.readers(name):
            relation = reader.relation
            if relation.id in restated:
                draft.rebuilt.add(relation.id)  # its own statement comes, and must not be skipped
                continue
            self._rebuild(reader, name, draft)
            self._rebuild_readers(relation.id, draft, restated)

    def _rebuild(self, known: Definition, changed: str, draft: Draft) -> None:
        try:
            self._put(known.statement, known.fingerprint, draft, is_rebuilt=True)
        except StreamMagicError as e:
            first = e.errors[0] if isinstance(e, CellError) else e
            first.message = (
                f"with this change of {changed}, {known.relation.name} does not work any more: "
                f"{first.message}"
            )
            raise first from None

    def _refuse_circle(self, relation: Relation, draft: Draft, s: Create) -> None:
        todo, seen = [i.lower().removeprefix("errors.") for i in relation.inputs], set()
        while todo:
            name = todo.pop()
            if name == relation.id:
                raise LanguageError(
                    "SM2033", f"{relation.name} would read itself", span=s.name.span
                )
            definition = draft.definitions.get(name)
            if definition is not None and name not in seen:
                seen.add(name)
                todo += [i.lower().removeprefix("errors.") for i in definition.relation.inputs]

    def _source(self, s: CreateSource, draft: Draft) -> Made:
        source, fmt, schema = self._plugins.source(s, draft)
        types = self._types(s, schema)
        time_column, delay_us = self._watermark(s, schema)
        options = source.options
        lateness, idle = timedelta(0), None
        if isinstance(options, SourceOptions):
            lateness, idle = options.allowed_lateness, options.idle_timeout
        relation = Relation(
            name=s.name.text, kind="source", schema=schema, types=types, is_changelog=source.is_changelog,
            time_column=time_column, lateness_us=round(lateness.total_seconds() * 1e6),
            key=tuple(self._column(k.text, schema, k) for k in s.primary_key), is_bounded=source.is_bounded,
        )  # fmt: skip
        idle_us = None if idle is None else round(idle.total_seconds() * 1e6)

        def make() -> RunningNode:
            tracker = WatermarkTracker(delay_us, idle_us) if time_column is not None else None
            reader = make_reader(s.name.text, source, Decoder(source, fmt, schema))
            log = (
                ResultLog(relation.stream_schema, self._engine.database.cursor)
                if relation.is_changelog
                else self._stream_log(relation, draft)
            )
            return SourceNode(relation, log, reader=reader, tracker=tracker)

        return relation, make, ""

    def _query(self, s: CreateStream | CreateTable, draft: Draft) -> Made:
        if isinstance(s, CreateStream) and s.is_persistent:
            raise ConfigError(
                "SM7042", "PERSIST is not supported yet", hint="leave it out", span=s.name.span
            )
        is_table = isinstance(s, CreateTable)
        max_rows = self._retention(s, draft)
        plan = build(s.query, draft.catalog, self._binder)
        draft.warnings.extend(f"{s.name.text}: {w}" for w in plan.warnings)
        relation = Relation(
            name=s.name.text, kind="table" if is_table else "stream", schema=plan.schema, types=plan.types,
            is_changelog=plan.is_changelog, time_column=plan.time_column, lateness_us=plan.lateness_us,
            is_settled=plan.is_settled, windows=plan.windows, key=plan.key, inputs=(*plan.inputs, *plan.caches), has_order=plan.has_order,
            is_bounded=all(draft.catalog.find(i).is_bounded for i in plan.inputs),
        )  # fmt: skip

        def make() -> RunningNode:
            named = keys(plan.root, can_share=plan.can_share)
            program = Program(plan.root, named, self._engine.network)
            log = make_log(
                plan,
                relation.stream_schema,
                self._engine.database,
                is_table=is_table,
                max_rows=max_rows,
            )
            return QueryNode(relation, log, plan=plan, program=program)

        return relation, make, ""

    def _cache(self, s: CreateCache, draft: Draft) -> Made:
        cache, schema = self._plugins.cache(s, draft)
        key = tuple(self._column(k.text, schema, k) for k in s.key)
        relation = Relation(
            name=s.name.text,
            kind="cache",
            schema=schema,
            types=self._binder.column_types(schema),
            key=key,
        )

        def make() -> RunningNode:
            return CacheNode(
                relation,
                None,
                loader=CacheLoader(s.name.text, cache, key, schema, self._engine.clock),
            )

        return relation, make, ""

    def _target(self, s: CreateTarget, draft: Draft) -> Made:
        reads = draft.catalog.find(s.source.text, s.source.span)
        if reads.kind == "cache":
            hint = "deliver a stream that looks it up"
            raise LanguageError(
                "SM2034",
                f"{reads.name} is a cache: it has no events to deliver",
                hint=hint,
                span=s.source.span,
            )
        target = self._plugins.target(s, reads, draft)
        relation = Relation(
            name=s.name.text, kind="target", schema=reads.schema, types=reads.types,
            is_changelog=reads.is_changelog, inputs=(reads.name,),
        )  # fmt: skip
        known = draft.definitions.get(s.name.key)
        place = (target.address, relation.inputs)
        goes_on = (
            known is not None
            and bool(target.address)
            and (known.address, known.relation.inputs) == place
        )

        def make() -> RunningNode:
            return TargetNode(
                relation, None, deliverer=Deliverer(s.name.text, target), has_history=goes_on
            )

        return relation, make, target.address

    # --- pieces --------------------------------------------------------------------------------------

    def _types(self, s: CreateSource, schema: pa.Schema) -> tuple[str, ...]:
        declared = {
            c.name.text: self._binder.type_of(c.type_text, c.type_span)[0] for c in s.columns
        }
        carried = zip(schema.names, self._binder.column_types(schema), strict=True)
        return tuple(declared.get(str(n), t) for n, t in carried)

    def _watermark(self, s: CreateSource, schema: pa.Schema) -> tuple[str | None, int]:
        """The time column and the delay in microseconds."""
        if s.watermark is None:
            return None, 0
        name = self._column(s.watermark.column.text, schema, s.watermark.column)
        kind = schema.field(name).type
        if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            hint = "declare it TIMESTAMP or TIMESTAMPTZ"
            raise LanguageError(
                "SM2035",
                f"a WATERMARK needs a time: {name} is none",
                hint=hint,
                span=s.watermark.span,
            )
        try:
            delay = (
                self._binder.interval_us(s.watermark.delay_text) if s.watermark.delay_text else 0
            )
        except duckdb.Error:
            hint = f"write WATERMARK FOR {name} AS {name} - INTERVAL 5 SECONDS"
            raise LanguageError(
                "SM2036",
                "the delay of a WATERMARK is an interval",
                hint=hint,
                span=s.watermark.span,
            ) from None
        return name, delay

    def _column(self, name: str, schema: pa.Schema, place: object) -> str:
        known = {n.lower(): str(n) for n in schema.names}
        if name.lower() not in known:
            span = getattr(place, "span", None)
            note = f"there are: {', '.join(schema.names)}"
            raise LanguageError("SM2003", f"unknown column '{name}'", span=span, note=note)
        return known[name.lower()]

    def _retention(self, s: CreateStream | CreateTable, draft: Draft) -> int | None:
        for o in s.options:
            if o.name.key != "retention":
                raise ConfigError(
                    "SM7001",
                    f"{s.word} has no option '{o.name.text}'",
                    hint="there is: retention",
                    span=o.name.span,
                )
            if isinstance(s, CreateTable):
                raise ConfigError(
                    "SM7043",
                    "retention of a table is not supported yet",
                    hint="leave it out: a table keeps its rows",
                    span=o.name.span,
                )
            return read_retention(str(o.value), o.span)
        return int(draft.settings["retention"]) if "retention" in draft.settings else None

    def _stream_log(self, relation: Relation, draft: Draft) -> StreamLog:
        if "retention" in draft.settings:
            return StreamLog(relation.stream_schema, int(draft.settings["retention"]), None)
        return StreamLog(relation.stream_schema)


def read_retention(text: str, span: Span) -> int:
    """'500000 rows' or 500000.

    Raises:
        ConfigError: SM7002.
    """
    number = text.lower().removesuffix("rows").strip().replace("_", "")
    if not number.isdigit():
        raise ConfigError(
            "SM7002", f"'{text}' is no retention", hint="write retention = '500000 rows'", span=span
        )
    return int(number)
