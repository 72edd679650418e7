"""Which SQL types a Python function takes and gives, read from its annotations."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, NamedTuple, get_args, get_origin

import pyarrow as pa

from stream_magic.errors import ConfigError

_PLAIN = {
    bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR", bytes: "BLOB",
    datetime: "TIMESTAMP", date: "DATE", time: "TIME", timedelta: "INTERVAL",
}  # fmt: skip
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Kind(NamedTuple):
    """A type: DuckDB's, whether it takes NULL, and whether it is an Arrow array."""

    type: str
    takes_null: bool
    is_array: bool = False


class Signature(NamedTuple):
    """A function's types as they are written; DuckDB has not seen them yet."""

    parameters: dict[str, Kind]
    returns: Kind


def read_signature(
    python: Callable[..., Any], types: Mapping[str, str], returns: str | None, *, is_aggregate: bool
) -> Signature:  # fmt: skip
    """The types of a function.

    Args:
        python: the function; parameters that take keywords only are left at their defaults.
        types: SQL types by parameter, in place of annotations.
        returns: SQL type of the result, in place of the annotation.
        is_aggregate: parameters are lists of a group's values.

    Raises:
        ConfigError: SM7060, a type is missing or not known.
    """
    name = getattr(python, "__name__", "function")
    try:
        hints = typing.get_type_hints(python, include_extras=True)
    except NameError as e:
        raise _refused(
            f"an annotation of {name} names what is not known: {e}", "import or define it before the function"
        ) from None  # fmt: skip
    parameters: dict[str, Kind] = {}
    for p in inspect.signature(python).parameters.values():
        if p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is not p.empty:
            continue
        if p.kind not in _POSITIONAL:
            raise _refused(f"the parameter '{p.name}' of {name} is no single column", "name each parameter")  # fmt: skip
        where = f"the parameter '{p.name}' of {name}"
        kind = _given(where, hints.get(p.name), types.get(p.name))
        parameters[p.name] = _of_list(where, hints.get(p.name), kind) if is_aggregate else kind
    for given in types:
        if given not in parameters:
            raise _refused(f"{name} has no parameter '{given}'", f"it has: {', '.join(parameters)}")
    return Signature(parameters, _given(f"the result of {name}", hints.get("return"), returns))


def _given(where: str, hint: Any, text: str | None) -> Kind:
    if text is not None:
        return Kind(text, _is_optional(hint), hint is pa.Array)
    if hint is None or hint is types.NoneType:
        raise _refused(f"{where} has no type", "annotate it: def f(x: float) -> float")
    return _kind(where, hint)


def _kind(where: str, hint: Any) -> Kind:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        text = next((a for a in args[1:] if isinstance(a, str)), None)
        inner = args[0]
        return (
            _kind(where, inner)
            if text is None
            else Kind(text, _is_optional(inner), inner is pa.Array)
        )
    if origin in (typing.Union, types.UnionType):
        others = [a for a in args if a is not types.NoneType]
        if len(others) == 1 and len(others) < len(args):
            return _kind(where, others[0])._replace(takes_null=True)
    if origin is list and len(args) == 1:
        return Kind(f"{_kind(where, args[0]).type}[]", takes_null=False)
    if origin is dict and len(args) == 2:
        key, value = (_kind(where, a).type for a in args)
        return Kind(f"MAP({key}, {value})", takes_null=False)
    if typing.is_typeddict(hint):
        fields = typing.get_type_hints(hint, include_extras=True).items()
        listed = ", ".join(f'"{n}" {_kind(where, h).type}' for n, h in fields)
        return Kind(f"STRUCT({listed})", takes_null=False)
    if isinstance(hint, type) and hint in _PLAIN:
        return Kind(_PLAIN[hint], takes_null=False)
    shown = getattr(hint, "__name__", str(hint))
    raise _refused(
        f"{where} is {shown}, for which SQL has no single type",
        f"say it: Annotated[{shown}, 'DECIMAL(12, 2)'], or @udf(types={{'x': 'DECIMAL(12, 2)'}}, returns='...')",
    )  # fmt: skip


def _of_list(where: str, hint: Any, kind: Kind) -> Kind:
    """The type of one value of a list."""
    if not kind.type.endswith("[]"):
        raise _refused(
            f"{where} is {kind.type}, but an aggregate takes the list of a group's values",
            "annotate it as a list: def f(xs: list[float]) -> float",
        )
    inner = get_args(hint)[0] if get_origin(hint) is list else None
    return Kind(kind.type.removesuffix("[]"), _is_optional(inner), kind.is_array)


def _is_optional(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return _is_optional(get_args(hint)[0])
    return get_origin(hint) in (typing.Union, types.UnionType) and types.NoneType in get_args(hint)


def _refused(message: str, hint: str) -> ConfigError:
    return ConfigError("SM7060", message, hint=hint)
