"""From the clauses of a statement to instances of sources, targets, caches and formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pyarrow as pa

from stream_magic.app.draft import Draft
from stream_magic.app.secrets import resolve, secrets_in
from stream_magic.contracts.cache import Cache, CacheContext
from stream_magic.contracts.format import Format
from stream_magic.contracts.options import (
    OptionErrors,
    Options,
    OptionsT,
    OptionValue,
    parse_options,
)
from stream_magic.contracts.registry import registry
from stream_magic.contracts.source import Source, SourceContext
from stream_magic.contracts.target import Mode, Target, TargetContext
from stream_magic.core.arrivals import Arrivals
from stream_magic.core.clock import Clock
from stream_magic.errors import (
    CellError,
    ConfigError,
    ConnectorError,
    LanguageError,
    NotThereError,
    PlanError,
    Span,
    StreamMagicError,
)
from stream_magic.language.binder import Binder
from stream_magic.language.catalog import Relation
from stream_magic.language.statements import (
    CreateCache,
    CreateSource,
    CreateTarget,
    FormatClause,
    Name,
    OptionLiteral,
)


class Plugins:
    """Makes connectors for one app."""

    def __init__(
        self, app: str, state_id: str, clock: Clock, arrivals: Arrivals, binder: Binder
    ) -> None:
        self._app = app
        self._state_id = state_id
        self._clock = clock
        self._arrivals = arrivals
        self._binder = binder

    def source(self, s: CreateSource, draft: Draft) -> tuple[Source, Format | None, pa.Schema]:
        """The source, its format, and the schema of its rows: declared, lent, or inferred."""
        kind, given = self._connector(s.options, draft, s)
        plugin = registry.source(kind, _span_of(s.options, "connector"))
        options = _parse(plugin.options_type, given, f"connector '{kind}'", s)
        fmt = self._format(
            s.format,
            takes_format=plugin.takes_format,
            default=plugin.default_format,
            kind=kind,
            draft=draft,
        )
        columns = self._declared(s)
        source = self._make_source(plugin, options, s, fmt, columns, given)
        if source.takes_format and fmt is not None and fmt.is_file_only:
            span = s.format.name.span if s.format else s.name.span
            raise ConfigError(
                "SM7014", f"{fmt.extension} is a format of files, not of messages",
                hint="write FORMAT json", span=span,
            )  # fmt: skip
        lent = columns or (self._lent(source, draft) if plugin.takes_format else None)
        if lent is not None and columns is None:
            source = self._make_source(plugin, options, s, fmt, lent, given)
        self._check(
            source.check, is_sure=lent is not None, is_lent=lent is not columns, name=s.name.text
        )
        if lent is not None:
            return source, fmt, self._with_extra(source, lent)
        schema = self._inferred(source, fmt, s)
        _refuse_twice(
            schema, s.name, "rename one of them where the rows come from, or declare the columns to "
            f"read: CREATE SOURCE {s.name.text} (id BIGINT, ...) WITH (...)",
        )  # fmt: skip
        if source.takes_format:
            source = self._make_source(plugin, options, s, fmt, schema, given)
        return source, fmt, self._with_extra(source, schema)

    def cache(self, s: CreateCache, draft: Draft) -> tuple[Cache, pa.Schema]:
        kind, given = self._connector(s.options, draft, s)
        plugin = registry.cache(kind, _span_of(s.options, "connector"))
        options = _parse(plugin.options_type, given, f"cache connector '{kind}'", s)
        fmt = (
            self._format(s.format, takes_format=False, default=None, kind=kind, draft=draft)
            if s.format
            else None
        )
        context = CacheContext(s.name.text, self._app, self._clock, fmt, secrets_in(given, options))
        cache = plugin(options, context)
        schema = cache.schema()
        _refuse_twice(schema, s.name, "name one of them in the query: ... AS other_name")
        known = {n.lower(): n for n in schema.names}
        for key in s.key:
            if key.key not in known:
                note = f"{s.name.text} has: {', '.join(schema.names)}"
                raise LanguageError(
                    "SM2030",
                    f"the key '{key.text}' is no column of the cache",
                    span=key.span,
                    note=note,
                )
        return cache, schema

    def target(self, s: CreateTarget, reads: Relation, draft: Draft) -> Target:
        kind, given = self._connector(s.options, draft, s)
        plugin = registry.target(kind, _span_of(s.options, "connector"))
        key, mode = self._mode(s, given, plugin, reads)
        if "key" in given and "key" not in {f.name for f in fields(plugin.options_type)}:
            given = {n: v for n, v in given.items() if n != "key"}
        options = _parse(plugin.options_type, given, f"connector '{kind}'", s)
        fmt = self._format(
            s.format,
            takes_format=plugin.takes_format,
            default=plugin.default_format,
            kind=kind,
            draft=draft,
        )
        context = TargetContext(
            name=s.name.text, app=self._app, state_id=self._state_id, clock=self._clock, schema=reads.schema,
            mode=mode, key=key if mode == "upsert" else (), format=fmt, secrets=secrets_in(given, options),
        )  # fmt: skip
        target = plugin(options, context)
        self._refuse_shared(target, s, draft)
        self._check(target.check, is_sure=True)
        return target

    # --- pieces --------------------------------------------------------------------------------------

    def _connector(
        self,
        literals: tuple[OptionLiteral, ...],
        draft: Draft,
        s: CreateSource | CreateCache | CreateTarget,
    ) -> tuple[str, dict[str, OptionValue]]:
        errors: list[StreamMagicError] = []
        values = resolve(literals, draft.secrets, errors)
        if errors:
            raise errors[0] if len(errors) == 1 else CellError(errors)
        given = {n: v for n, v in values.items() if n.lower() != "connector"}
        kind = next((v.value for n, v in values.items() if n.lower() == "connector"), None)
        if kind is None:
            hint = "add connector = '...' to WITH; SHOW CONNECTORS lists them"
            raise ConfigError(
                "SM7011", f"{s.name.text} names no connector", hint=hint, span=s.name.span
            )
        return str(kind), given

    def _format(
        self,
        clause: FormatClause | None,
        *,
        takes_format: bool,
        default: str | None,
        kind: str,
        draft: Draft,
    ) -> Format | None:
        if clause is None:
            if not takes_format or default is None:
                return None
            plugin = registry.format(default)
            return plugin(plugin.options_type())
        if not takes_format and kind not in registry.names("caches"):
            raise ConfigError(
                "SM7012",
                f"connector '{kind}' takes no FORMAT: its rows have columns already",
                span=clause.name.span,
            )
        plugin = registry.format(clause.name.key, clause.name.span)
        errors: list[StreamMagicError] = []
        given = resolve(clause.options, draft.secrets, errors)
        if errors:
            raise CellError(errors)
        try:
            return plugin(parse_options(plugin.options_type, given, f"format '{clause.name.key}'"))
        except OptionErrors as e:
            raise _located(e, clause) from None

    def _refuse_shared(self, target: Target, s: CreateTarget, draft: Draft) -> None:
        """Two targets that each keep a manifest in one place would overwrite each other's files."""
        for other in draft.definitions.values() if target.is_exclusive else ():
            if other.address == target.address and other.relation.id != s.name.key:
                raise ConfigError(
                    "SM7013", f"the target {other.relation.name} writes to the same place",
                    hint="give this one another path", span=s.name.span,
                )  # fmt: skip

    def _declared(self, s: CreateSource) -> pa.Schema | None:
        if not s.columns:
            return None
        fields_ = []
        seen: set[str] = set()
        for column in s.columns:
            if column.name.key in seen:
                raise LanguageError(
                    "SM2020", f"two columns are called '{column.name.text}'", span=column.name.span
                )
            if column.name.key.startswith("_sm_") or column.name.key == "_weight":
                raise LanguageError(
                    "SM2021",
                    f"'{column.name.text}' is a name of the engine",
                    hint="choose another name",
                    span=column.name.span,
                )
            seen.add(column.name.key)
            fields_.append(
                pa.field(
                    column.name.text, self._binder.type_of(column.type_text, column.type_span)[1]
                )
            )
        return pa.schema([pa.field(f.name, _plain(f.type)) for f in fields_])

    def _make_source(
        self, plugin: type[Source], options: Options, s: CreateSource, fmt: Format | None,
        columns: pa.Schema | None, given: dict[str, OptionValue],
    ) -> Source:  # fmt: skip
        context = SourceContext(
            s.name.text, self._app, self._clock, columns, fmt, secrets_in(given, options), self._arrivals
        )  # fmt: skip
        return plugin(options, context)

    def _lent(self, source: Source, draft: Draft) -> pa.Schema | None:
        """A target of the same app that writes what this source reads knows the columns."""
        if not source.address:
            return None
        for definition in draft.definitions.values():
            if definition.address == source.address:
                return definition.relation.schema
        return None

    def _inferred(self, source: Source, fmt: Format | None, s: CreateSource) -> pa.Schema:
        columns_hint = f"declare columns: CREATE SOURCE {s.name.text} (id BIGINT, ...) WITH (...), or run this cell when rows are there"
        if not source.takes_format or fmt is None:
            return source.schema()
        try:
            return source.schema()
        except NotImplementedError:
            samples = source.sample()
        if not samples:
            raise ConnectorError(
                "SM4001",
                f"{s.name.text} has no rows yet to infer columns from",
                hint=columns_hint,
                span=s.name.span,
            )
        header, samples = (samples[0], samples[1:]) if fmt.has_header else (None, samples)
        return fmt.infer(samples, header)

    def _with_extra(self, source: Source, schema: pa.Schema) -> pa.Schema:
        known = {n.lower() for n in schema.names}
        extra = (f for f in source.extra_schema if f.name.lower() not in known)
        return pa.schema([*schema, *extra])

    def _mode(
        self, s: CreateTarget, given: dict[str, OptionValue], plugin: type[Target], reads: Relation
    ) -> tuple[tuple[str, ...], Mode]:
        """How a target takes its rows: append, upsert by key, or every change."""
        names = {n.lower(): n for n in reads.schema.names}
        key: list[str] = []
        for name in str(given["key"].value).split(",") if "key" in given else []:
            if name.strip().lower() not in names:
                note = f"{reads.name} has: {', '.join(reads.schema.names)}"
                raise LanguageError(
                    "SM2003", f"unknown column '{name.strip()}'", span=given["key"].span, note=note
                )
            key.append(names[name.strip().lower()])
        if not reads.is_changelog:
            takes_key = "key" in {f.name for f in fields(plugin.options_type)}
            return tuple(
                key
            ), "upsert" if key and not takes_key and "upsert" in plugin.modes else "append"
        if key and "upsert" in plugin.modes:
            return tuple(key), "upsert"
        if "changelog" in plugin.modes and not key:
            return (), "changelog"
        choices = ["write EMIT ON WINDOW CLOSE in the query"]
        if "upsert" in plugin.modes:
            choices.append(f"give the target a key: key = '{', '.join(reads.key) or 'id'}'")
        raise PlanError(
            "SM3031", f"{reads.name} changes rows that it gave before, and this target only appends",
            hint=", or ".join(choices), span=s.source.span,
        )  # fmt: skip

    def _check(
        self, check: Callable[[], None], *, is_sure: bool, is_lent: bool = False, name: str = ""
    ) -> None:
        """With known columns a system that does not answer is a node that reconnects, not an error of the cell.

        What a target of the same app writes need not be there yet: it may come with this very cell.
        """
        try:
            check()
        except NotThereError:
            if not is_lent:
                raise
        except StreamMagicError as e:
            if e.transient and is_sure:
                return
            if e.transient:
                declare = f"declare columns, CREATE SOURCE {name} (id BIGINT, ...), and it connects when the system is there"
                e.hint = f"{e.hint}; or {declare}" if e.hint else declare
            raise


def _parse(
    kind: type[OptionsT],
    given: dict[str, OptionValue],
    owner: str,
    s: CreateSource | CreateCache | CreateTarget,
) -> OptionsT:
    try:
        return parse_options(kind, given, owner)
    except OptionErrors as e:
        raise _located(e, s) from None


def _located(
    e: OptionErrors, s: CreateSource | CreateCache | CreateTarget | FormatClause
) -> StreamMagicError:
    """An option that is missing has no place of its own: the name of its owner stands for it."""
    for error in e.errors:
        error.span = error.span or s.name.span
    return e.errors[0] if len(e.errors) == 1 else CellError(e.errors)


def _refuse_twice(schema: pa.Schema, owner: Name, hint: str) -> None:
    """SQL compares names without case: of two equal ones only one could be read."""
    seen: dict[str, str] = {}
    for name in map(str, schema.names):
        first = seen.get(name.lower())
        if first is not None:
            both = f"'{name}'" if first == name else f"'{first}' and '{name}'"
            raise LanguageError(
                "SM2020",
                f"two columns of {owner.text} are called {both}",
                hint=hint,
                span=owner.span,
            )
        seen[name.lower()] = name


def _span_of(options: tuple[OptionLiteral, ...], name: str) -> Span | None:
    return next((o.span for o in options if o.name.key == name), None)


def _plain(t: pa.DataType) -> pa.DataType:
    """ENUM comes to Arrow as a dictionary whose values we do not have: read as text."""
    return pa.string() if pa.types.is_dictionary(t) else t
