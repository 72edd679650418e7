"""Options are declared once, as a dataclass; validation, help and completion come from it."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, NewType, TypeVar

from stream_magic.core.duration import parse_bytes, parse_duration
from stream_magic.errors import ConfigError, Span, StreamMagicError
from stream_magic.security.secrets import Secret

ByteSize = NewType("ByteSize", int)
"""An option type: '64 MB', or a plain number of bytes."""

Scalar = str | int | float | bool | Secret


@dataclass(frozen=True)
class OptionValue:
    """What stands at the right of an option in a statement.

    `value` is what the connector gets (environment variables and secrets resolved);
    `shown` is the text as written, fit for DESCRIBE.
    """

    value: Scalar
    shown: str
    name_span: Span | None = None
    span: Span | None = None


def option(
    doc: str, *, default: Any = dataclasses.MISSING, example: str = "", prefix: str = ""
) -> Any:
    """Declares an option: a dataclass field with its documentation.

    Args:
        doc: one sentence, shown by DESCRIBE CONNECTOR and by completion.
        default: without one the option is required.
        example: as it stands in a statement, quotes included.
        prefix: collects all options `prefix.NAME` into a `dict[str, str]` field.
    """
    metadata = {"doc": doc, "example": example, "prefix": prefix}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of every options dataclass. Raise ConfigError from `__post_init__` for options that exclude each other."""


@dataclass(frozen=True, kw_only=True)
class SourceOptions(Options):
    """What every source understands; the engine reads these, not the connector."""

    allowed_lateness: timedelta = option(
        "A window closes when the watermark reaches its end plus this.",
        default=timedelta(0),
        example="'10 seconds'",
    )
    idle_timeout: timedelta | None = option(
        "A partition silent for this long no longer holds back the watermark.",
        default=None,
        example="'30 seconds'",
    )


@dataclass(frozen=True)
class OptionInfo:
    """One declared option, for DESCRIBE CONNECTOR, completion and docs."""

    name: str
    type: str
    required: bool
    default: str
    doc: str
    example: str
    choices: tuple[str, ...] = ()


OptionsT = TypeVar("OptionsT", bound=Options)


def describe_options(kind: type[Options]) -> list[OptionInfo]:
    """The declared options in order, required ones first."""
    hints = typing.get_type_hints(kind)
    infos = [_info(f, hints[f.name]) for f in dataclasses.fields(kind)]
    return sorted(infos, key=lambda i: not i.required)


def _info(f: dataclasses.Field[Any], hint: Any) -> OptionInfo:
    required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    prefix = f.metadata.get("prefix", "")
    default = "" if required or prefix else _show(f.default)
    return OptionInfo(
        name=f"{prefix}.*" if prefix else f.name,
        type=_type_name(hint),
        required=required,
        default=default,
        doc=f.metadata.get("doc", ""),
        example=f.metadata.get("example", ""),
        choices=_choices(hint),
    )


def parse_options(kind: type[OptionsT], given: dict[str, OptionValue], owner: str) -> OptionsT:
    """Typed options from what a statement gives.

    Args:
        kind: the options dataclass.
        given: by name; names are compared without case.
        owner: said in messages: "connector 'kafka'".

    Raises:
        OptionErrors: every unknown, missing and ill-typed option at once.
    """
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    prefixes = {f.metadata["prefix"]: f.name for f in fields.values() if f.metadata.get("prefix")}
    values: dict[str, Any] = {}
    errors: list[StreamMagicError] = []
    for raw_name, given_value in given.items():
        name = raw_name.lower()
        head, dot, rest = raw_name.partition(".")
        if dot and head.lower() in prefixes:
            values.setdefault(prefixes[head.lower()], {})[rest] = _text(given_value.value)
        elif name not in fields or fields[name].metadata.get("prefix"):
            errors.append(_unknown(raw_name, given_value, list(fields), owner))
        else:
            try:
                values[name] = _convert(given_value.value, hints[name])
            except ValueError as e:
                said = str(e)
                if given_value.shown != str(given_value.value):  # never what ${NAME} stands for
                    said = said.replace(str(given_value.value), given_value.shown)
                errors.append(
                    ConfigError("SM7002", f"option {name}: {said}", span=given_value.span)
                )
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in {n.lower() for n in given}:
            example = f.metadata.get("example") or "'...'"
            doc = f.metadata.get("doc", "")
            errors.append(
                ConfigError(
                    "SM7003",
                    f"{owner} needs the option {name}",
                    hint=f"add {name} = {example}. {doc}",
                )
            )
    if errors:
        raise OptionErrors(errors)
    return kind(**values)


class OptionErrors(Exception):
    """All that is wrong with the options of one statement."""

    def __init__(self, errors: list[StreamMagicError]) -> None:
        super().__init__("; ".join(e.message for e in errors))
        self.errors = errors


def _unknown(name: str, value: OptionValue, known: list[str], owner: str) -> ConfigError:
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"{owner} has: {', '.join(sorted(known))}"
    return ConfigError("SM7001", f"{owner} has no option '{name}'", hint=hint, span=value.name_span)


def _unwrap(hint: Any) -> Any:
    """`T | None` -> `T`."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = [a for a in typing.get_args(hint) if a is not type(None)]
        return inner[0] if len(inner) == 1 else hint
    return hint


def _choices(hint: Any) -> tuple[str, ...]:
    hint = _unwrap(hint)
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def _type_name(hint: Any) -> str:
    hint = _unwrap(hint)
    if typing.get_origin(hint) is Literal:
        return " | ".join(f"'{c}'" for c in typing.get_args(hint))
    names = {
        str: "text", int: "whole number", float: "number", bool: "true | false",
        timedelta: "duration", ByteSize: "size", Secret: "secret",
    }  # fmt: skip
    return names.get(hint, "list" if typing.get_origin(hint) is tuple else "text")


def _show(default: Any) -> str:
    if default is None or default is dataclasses.MISSING:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, timedelta):
        return f"'{default.total_seconds():g} s'"
    if isinstance(default, str):
        return f"'{default}'"
    return ", ".join(default) if isinstance(default, tuple) else str(default)


def _text(value: Scalar) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _convert(value: Scalar, hint: Any) -> Any:
    hint = _unwrap(hint)
    if hint is Secret:
        return value if isinstance(value, Secret) else Secret(str(value))
    if hint is str:
        return _text(value)
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        chosen = {c.lower(): c for c in choices}.get(str(value).lower())
        if chosen is None:
            close = difflib.get_close_matches(str(value).lower(), choices, n=1)
            mean = f" (did you mean '{close[0]}'?)" if close else ""
            raise ValueError(f"'{value}' is none of {', '.join(choices)}{mean}")
        return chosen
    if hint is bool:
        if isinstance(value, bool) or str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise ValueError(f"'{value}' is not true or false")
    if hint is timedelta:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return timedelta(seconds=value)
        return parse_duration(_text(value))
    if hint is ByteSize:
        return ByteSize(value) if isinstance(value, int) else ByteSize(parse_bytes(_text(value)))
    if typing.get_origin(hint) is tuple:
        return tuple(part.strip() for part in _text(value).split(",") if part.strip())
    return _number(value, hint)


def _number(value: Scalar, hint: Any) -> Any:
    kind = "a whole number" if hint is int else "a number"
    if isinstance(value, bool | Secret):
        raise ValueError(f"'{value}' is not {kind}")
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"'{value}' is not {kind}") from None
    if hint is float:
        return number
    if number != int(number):
        raise ValueError(f"'{value}' is not {kind}")
    return int(value)
