"""The column list of a source: columns, WATERMARK and PRIMARY KEY, with DuckDB's types."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot.tokenizer_core import TokenType

from stream_magic.core.change import is_hidden
from stream_magic.errors import LanguageError, Span
from stream_magic.language.parser.cursor import Cursor, is_word, plain, word_of
from stream_magic.language.parser.options import quoted
from stream_magic.language.parser.words import UNITS, closest
from stream_magic.language.spans import token_span
from stream_magic.language.statements import ColumnDef, Name, Watermark

EXAMPLE = "CREATE SOURCE orders (id INTEGER, ts TIMESTAMP) WITH (connector = 'kafka', ...)"

# duckdb_types() and the words that DuckDB's grammar knows beside them.
TYPES = frozenset(
    """
    ANY ARRAY BIGINT BIGNUM BINARY BIT BITSTRING BLOB BOOL BOOLEAN BPCHAR BYTEA CHAR CHARACTER DATE
    DATETIME DEC DECIMAL DOUBLE ENUM FLOAT FLOAT4 FLOAT8 GEOMETRY GUID HUGEINT INT INT1 INT128 INT16
    INT2 INT32 INT4 INT64 INT8 INTEGER INTEGRAL INTERVAL JSON LIST LOGICAL LONG MAP NUMERIC NVARCHAR
    OID PARQUET_VARIANT REAL ROW SHORT SIGNED SMALLINT STRING STRUCT TEXT TIME TIMESTAMP TIMESTAMPTZ TIMESTAMPTZ_NS TIMESTAMP_MS
    TIMESTAMP_NS TIMESTAMP_S TIMESTAMP_US TIMETZ TIME_NS TINYINT UBIGINT UHUGEINT UINT128 UINT16
    UINT32 UINT64 UINT8 UINTEGER UNION USMALLINT UTINYINT UUID VARBINARY VARCHAR VARIANT VARINT
    """.split()  # noqa: SIM905
)
_TYPES_ELSEWHERE = {
    "BYTES": "BLOB",
    "UNSIGNED": "UBIGINT or UINTEGER",
    "TIMESTAMP_LTZ": "TIMESTAMPTZ",
    "DATETIME2": "TIMESTAMP",
    "NUMBER": "DECIMAL(18, 3) or DOUBLE",
    "OBJECT": "STRUCT(a INTEGER, b VARCHAR) or JSON",
    "JSONB": "JSON",
    "MEDIUMTEXT": "VARCHAR",
    "LONGTEXT": "VARCHAR",
    "SERIAL": "BIGINT",
}
_CONSTRAINTS = {
    "NOT": "a source promises nothing about its rows: filter them, WHERE {0} IS NOT NULL",
    "NULL": "every column may be NULL: leave it out",
    "PRIMARY": "write it as an entry of its own: PRIMARY KEY ({0})",
    "DEFAULT": "use coalesce({0}, ...) in a stream",
    "UNIQUE": "write PRIMARY KEY ({0}) as an entry of its own",
    "CHECK": "filter the rows in a stream: WHERE ...",
    "AS": "a source takes columns as they come: compute in a stream, SELECT ... AS {0}",
    "GENERATED": "a source takes columns as they come: compute in a stream, SELECT ... AS {0}",
    "METADATA": "leave it out: a connector's metadata are columns already",
    "COLLATE": "leave it out",
    "REFERENCES": "leave it out",
    "COMMENT": "write it behind --",
}


@dataclass
class ColumnList:
    columns: list[ColumnDef] = field(default_factory=list)
    watermark: Watermark | None = None
    primary_key: tuple[Name, ...] = ()


def column_list(c: Cursor) -> ColumnList:
    """`(id INTEGER, ..., WATERMARK FOR ..., PRIMARY KEY (...))`; the bracket comes next."""
    found = ColumnList()
    opening = c.here()
    c.next()
    if c.at(")"):
        raise c.failure(
            "the column list is empty",
            code="SM1008",
            hint="leave it out and the columns are inferred, or write (id INTEGER, ...)",
            span=opening,
        )
    while True:
        _entry(c, found)
        if c.take(")"):
            return found
        comma = c.here()
        if not c.take(","):
            last = found.columns[-1].name.text if found.columns else "a"
            _refuse_constraint(c, last)
            raise c.expected("',' or ')'", hint="a comma stands between two columns")
        if c.at(")"):
            raise c.failure(
                "expected a column after ',', found ')'", hint="remove the comma", span=comma
            )


def _entry(c: Cursor, found: ColumnList) -> None:
    if c.at("WATERMARK", "FOR"):
        if found.watermark is not None:
            raise c.failure("there is a WATERMARK already", code="SM1013", hint="keep one of them")
        found.watermark = _watermark(c)
    elif c.at("PRIMARY KEY") or c.at("PRIMARY", "KEY"):
        if found.primary_key:
            raise c.failure(
                "there is a PRIMARY KEY already", code="SM1013", hint="write PRIMARY KEY (a, b)"
            )
        c.index += 1 if c.at("PRIMARY KEY") else 2
        found.primary_key = name_list(c, "PRIMARY KEY", example="id")
    else:
        column = _column(c)
        if any(column.name.key == other.name.key for other in found.columns):
            c.problems.append(
                LanguageError(
                    "SM1013",
                    f"the column {column.name.text} is declared twice",
                    hint="letter case makes no difference; keep one of them",
                    span=column.name.span,
                )
            )
        found.columns.append(column)


def name_list(c: Cursor, owner: str, *, example: str) -> tuple[Name, ...]:
    """`(a, b)`."""
    if not c.take("("):
        written = c.peek()
        inside = written.text if written is not None and is_word(written) else example
        raise c.expected(f"'(' after {owner}", hint=f"write {owner} ({inside})")
    names = [c.name("a column name", example=example)]
    while c.take(","):
        names.append(c.name("a column name", example=example))
    if not c.take(")"):
        raise c.expected("',' or ')'")
    return tuple(names)


def _column(c: Cursor) -> ColumnDef:
    name = c.name("a column name", example=EXAMPLE)
    if is_hidden(name.key):
        raise c.failure(
            f"the column name {name.text} is kept for the engine",
            code="SM1006",
            hint="choose a name that is not _weight and does not begin with _sm_",
            span=name.span,
        )
    if c.at("="):
        raise c.failure(
            f"expected a type after {name.text}, {c.found()}",
            code="SM1008",
            hint=f"options stand in WITH ({name.text} = ...); this list is for columns",
        )
    if c.at(",") or c.at(")"):
        raise c.failure(
            f"the column {name.text} has no type",
            code="SM1008",
            hint=f"for example: {plain(name.text)} VARCHAR",
            span=name.span,
        )
    _refuse_constraint(c, name.text)
    first = c.index
    text = type_text(c)
    return ColumnDef(name, text, c.since(first))


def _refuse_constraint(c: Cursor, column: str) -> None:
    word = word_of(c.peek()).split(" ")[0]
    if word in _CONSTRAINTS:
        whole = {"NOT": "NOT NULL", "PRIMARY": "PRIMARY KEY"}.get(word, word)
        raise c.failure(
            f"{whole} is not for the columns of a source",
            code="SM1008",
            hint=_CONSTRAINTS[word].format(plain(column)),
        )


def type_text(c: Cursor) -> str:
    """One DuckDB type, in canonical spelling: `STRUCT(a INTEGER, b VARCHAR[])`."""
    token = c.peek()
    if token is None or not (is_word(token) or token.token_type is TokenType.IDENTIFIER):
        raise c.expected("a type", hint="for example VARCHAR, BIGINT, DECIMAL(10, 2), TIMESTAMP")
    if token.token_type is TokenType.IDENTIFIER:
        raise c.failure(
            "a type stands without quotes", code="SM1008", hint=f"write {token.text.upper()}"
        )
    words = [" ".join(word_of(c.next()).split())]
    _check_type(c, words[0], token_span(token, c.text))
    base = words[0]
    if base in ("DOUBLE", "CHARACTER", "CHAR") and word_of(c.peek()) in ("PRECISION", "VARYING"):
        words.append(word_of(c.next()))
    text = " ".join(words)
    if c.at("("):
        text += _type_arguments(c, base)
    elif base in ("STRUCT", "ROW", "UNION", "MAP", "ENUM", "LIST", "ARRAY"):
        raise c.failure(
            f"{base} does not say what it holds",
            code="SM1008",
            hint=f"write {_NESTED[base]}",
            span=token_span(token, c.text),
        )
    zoned = c.at("WITH", "TIME") or c.at("WITHOUT", "TIME")
    if base in ("TIMESTAMP", "TIME") and zoned:
        text += f" {word_of(c.next())} TIME ZONE"
        c.expect("TIME", "ZONE")
    return text + _brackets(c)


_NESTED = {
    "STRUCT": "STRUCT(a INTEGER, b VARCHAR)",
    "ROW": "STRUCT(a INTEGER, b VARCHAR)",
    "UNION": "UNION(a INTEGER, b VARCHAR)",
    "MAP": "MAP(VARCHAR, INTEGER)",
    "ENUM": "ENUM('small', 'large')",
    "LIST": "INTEGER[]",
    "ARRAY": "INTEGER[]",
}


def _check_type(c: Cursor, word: str, span: Span) -> None:
    if word.split(" ", maxsplit=1)[0] in TYPES and word not in ("LIST", "ARRAY"):
        return
    if word in _NESTED:
        raise c.failure("a list is written as its item's type and []", code="SM1008", hint="write INTEGER[]", span=span)  # fmt: skip
    raise no_type(word, span)


def no_type(word: str, span: Span) -> LanguageError:
    """For a type that DuckDB does not have; also for casts in queries."""
    meant = _TYPES_ELSEWHERE.get(word.upper()) or closest(word, TYPES)
    hint = f"did you mean {meant}?" if meant else "any DuckDB type: VARCHAR, BIGINT, STRUCT(...)"
    return LanguageError("SM1008", f"there is no type {word}", hint=hint, span=span)


def _type_arguments(c: Cursor, base: str) -> str:
    first = c.index - 1
    c.next()
    parts: list[str] = []
    while True:
        if base in ("STRUCT", "ROW", "UNION"):
            name = c.name("a field name", example=_NESTED[base])
            parts.append(f"{plain(name.text)} {type_text(c)}")
        elif base == "MAP":
            parts.append(type_text(c))
        elif base == "ENUM":
            value = c.take_kind(TokenType.STRING)
            if value is None:
                raise c.expected("a text in single quotes", hint=f"write {_NESTED[base]}")
            parts.append(quoted(value.text))
        else:
            number = c.take_kind(TokenType.NUMBER)
            if number is None:
                raise c.expected(f"a number in {base}(...)")
            parts.append(number.text)
        if c.take(")"):
            break
        if not c.take(","):
            raise c.expected("',' or ')'")
    if base == "MAP" and len(parts) != 2:
        raise c.failure(
            "a MAP has two types", code="SM1008", hint=f"write {_NESTED[base]}", span=c.since(first)
        )
    return f"({', '.join(parts)})"


def _brackets(c: Cursor) -> str:
    text = ""
    while c.take("["):
        size = c.take_kind(TokenType.NUMBER)
        text += f"[{size.text if size else ''}]"
        c.expect("]")
    return text


def _watermark(c: Cursor) -> Watermark:
    first = c.index
    c.index += 2
    column = c.name("the time column", example="WATERMARK FOR ts AS ts - INTERVAL 5 SECONDS")
    usual = f"WATERMARK FOR {plain(column.text)} AS {plain(column.text)} - INTERVAL 5 SECONDS"
    if not c.take("AS"):
        raise c.expected("AS", among=["AS"], hint=f"write {usual}")
    again = c.name("the time column", example=usual)
    if again.key != column.key:
        raise c.failure(
            f"the watermark of {column.text} is made from {again.text}",
            code="SM1009",
            hint=f"both must be the same column: {usual}",
            span=again.span,
        )
    delay = ""
    if not (c.at(",") or c.at(")")):
        if not c.take("-"):
            raise c.failure(
                f"only '- INTERVAL ...' may stand after the column, {c.found()}",
                code="SM1009",
                hint=f"write {usual}, or {plain(column.text)} alone for no delay",
            )
        delay = _interval(c, usual)
    return Watermark(column, delay, c.since(first))


def _interval(c: Cursor, usual: str) -> str:
    if not c.take("INTERVAL"):
        raise c.failure(
            f"expected INTERVAL after '-', {c.found()}", code="SM1009", hint=f"write {usual}"
        )
    amount = c.take_kind(TokenType.NUMBER, TokenType.STRING)
    if amount is None:
        raise c.failure(
            f"expected a length of time, {c.found()}", code="SM1009", hint=f"write {usual}"
        )
    is_text = amount.token_type is TokenType.STRING
    text = f"INTERVAL {quoted(amount.text) if is_text else amount.text}"
    unit = word_of(c.peek())
    if unit.removesuffix("S") in UNITS:
        c.next()
        return f"{text} {unit}"
    if is_text and not amount.text.strip().isdigit() and (c.at(",") or c.at(")")):
        return text
    meant = closest(unit, [*UNITS, *(f"{u}S" for u in UNITS)]) if unit else None
    raise c.failure(
        f"expected a unit of time, {c.found()}",
        code="SM1009",
        hint=f"did you mean {meant}?" if meant else "units: SECONDS, MINUTES, HOURS, DAYS, ...",
    )
