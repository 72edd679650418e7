"""`@stream_magic.udf`: a Python function becomes one of SQL, in all apps of the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from stream_magic.app.session import session
from stream_magic.contracts.function import Function, Parameter, source_of
from stream_magic.contracts.signature import Kind, read_signature
from stream_magic.errors import ConfigError, Span
from stream_magic.language.binder import Binder
from stream_magic.language.dialect import StreamSQL
from stream_magic.language.functions import macros
from stream_magic.language.parser.words import RESERVED

F = TypeVar("F", bound=Callable[..., Any])


@overload
def udf(python: F, /) -> F: ...


@overload
def udf(
    *, name: str | None = None, types: Mapping[str, str] | None = None, returns: str | None = None,
    vectorized: bool = False, aggregate: bool = False, deterministic: bool = False,
) -> Callable[[F], F]: ...  # fmt: skip


def udf(
    python: F | None = None, /, *, name: str | None = None, types: Mapping[str, str] | None = None,
    returns: str | None = None, vectorized: bool = False, aggregate: bool = False, deterministic: bool = False,
) -> F | Callable[[F], F]:  # fmt: skip
    """Makes a Python function one of SQL. It stays the function that it is in Python, too.

    Args:
        python: the function. Its annotations say its types: bool, int, float, str, bytes, datetime, date,
            time, timedelta, list[...], dict[...], a TypedDict for a STRUCT, and `Annotated[T, 'SQL TYPE']`
            for anything else. With `T | None` it gets NULLs, as None; without, NULL gives NULL without a call.
        name: in SQL; the function's own without it.
        types: SQL types by parameter, in place of annotations.
        returns: SQL type of the result, in place of the annotation.
        vectorized: it takes Arrow arrays of many rows, and gives as many values. So does a function whose
            parameters are annotated `Annotated[pa.Array, 'SQL TYPE']`.
        aggregate: it takes, for each argument, the list of a group's values (sorted by value), and gives one.
        deterministic: the same arguments always give the same result. Then it may be called once for equal
            calls, and again where a row is taken back; else what it gave is remembered.

    Raises:
        ConfigError: SM7060 a type is missing, SM7061 the name is one of SQL's own, SM7062 it takes no column.
        StreamMagicError: what uses the function does not work with the new one; then the old one stays.
    """

    def define(given: F) -> F:
        signature = read_signature(given, types or {}, returns, is_aggregate=aggregate)
        kinds = signature.parameters
        is_vectorized = vectorized or any(k.is_array for k in kinds.values())
        sql_name = str(name or getattr(given, "__name__", "function")).lower()
        if not kinds and (is_vectorized or aggregate):
            raise ConfigError(
                "SM7062", f"{sql_name} takes no column, so it cannot tell how many values to give",
                hint="give it a parameter",
            )  # fmt: skip
        session().define(
            _Maker(sql_name).function(given, kinds, signature.returns, is_vectorized, aggregate, deterministic)
        )  # fmt: skip
        return given

    return define if python is None else define(python)


class _Maker:
    """Lets DuckDB check a function's name and types."""

    def __init__(self, name: str) -> None:
        self._name = name

    def function(
        self, python: Callable[..., Any], kinds: Mapping[str, Kind], returns: Kind,
        is_vectorized: bool, is_aggregate: bool, is_deterministic: bool,
    ) -> Function:  # fmt: skip
        binder = Binder()
        try:
            self._refuse_taken(binder)
            parameters = tuple(
                Parameter(n, self._type(binder, k)[0], k.takes_null) for n, k in kinds.items()
            )
            result, arrow = self._type(binder, returns)
        finally:
            binder.close()
        return Function(
            self._name, python, parameters, result, arrow, is_vectorized, is_aggregate, is_deterministic,
            source_of(python),
        )  # fmt: skip

    def _type(self, binder: Binder, kind: Kind) -> Any:
        return binder.type_of(kind.type, Span(kind.type, 0, len(kind.type)))

    def _refuse_taken(self, binder: Binder) -> None:
        is_word = self._name.upper() in (*StreamSQL.Parser.FUNCTIONS, *RESERVED)
        is_taken = self._name in binder.function_names() | set(macros())
        if not self._name.isidentifier() or is_word or is_taken:
            raise ConfigError(
                "SM7061", f"'{self._name}' cannot be the name of a Python function: SQL has it already",
                hint=f"give it another: @stream_magic.udf(name='my_{self._name}')",
            )  # fmt: skip
