"""Where the values of options come from: literals, `secret('n')`, `${ENV}`."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from stream_magic.contracts.options import Options, OptionValue
from stream_magic.errors import ConfigError, StreamMagicError
from stream_magic.language.statements import CreateSecret, OptionLiteral
from stream_magic.security.secrets import Secret

_ENV = re.compile(r"\$\{(\w+)\}")


class SecretStore:
    """Secrets of one app by name. Values are never shown; environment variables are the second place."""

    def __init__(self, secrets: dict[str, Secret] | None = None) -> None:
        self._secrets = dict(secrets or {})

    def copy(self) -> SecretStore:
        return SecretStore(self._secrets)

    def create(self, statement: CreateSecret) -> None:
        """`CREATE SECRET n WITH (value = '...' | env = 'NAME' | file = 'path')`.

        Raises:
            ConfigError: SM7030, no value can be found.
        """
        options = {o.name.key: str(o.value) for o in statement.options}
        place = statement.name.span
        if set(options) - {"value", "env", "file"} or len(options) != 1:
            hint = "write WITH (env = 'NAME'), WITH (file = '/path') or WITH (value = '...')"
            raise ConfigError(
                "SM7030",
                f"the secret {statement.name.text} needs one place to come from",
                hint=hint,
                span=None if "value" in options else place,  # the line would show it
            )
        kind, text = next(iter(options.items()))
        value: str | None = text
        if kind == "env":
            value = os.environ.get(text)
        elif kind == "file":
            value = Path(text).read_text().rstrip("\n") if Path(text).is_file() else None
        if value is None:
            where = "environment variable" if kind == "env" else "file"
            raise ConfigError(
                "SM7030",
                f"there is no {where} '{text}'",
                hint="set it, then run the cell again",
                span=place,
            )
        self._secrets[statement.name.key] = Secret(value, statement.name.text)

    def drop(self, name: str) -> bool:
        return self._secrets.pop(name.lower(), None) is not None

    def names(self) -> list[str]:
        return sorted(s.name for s in self._secrets.values())

    def values(self) -> tuple[Secret, ...]:
        return tuple(self._secrets.values())

    def find(self, name: str, literal: OptionLiteral) -> Secret:
        """A secret by name: created here, else an environment variable.

        Raises:
            ConfigError: SM7031, with every place that was asked.
        """
        found = self._secrets.get(name.lower())
        if found is not None:
            return found
        if name in os.environ:
            return Secret(os.environ[name], name)
        raise ConfigError(
            "SM7031", f"there is no secret '{name}'",
            hint=f"asked: secrets of this app, environment variable {name}. Write CREATE SECRET {name} WITH (env = '...')",
            span=literal.span,
        )  # fmt: skip


def resolve(
    options: tuple[OptionLiteral, ...], store: SecretStore, errors: list[StreamMagicError]
) -> dict[str, OptionValue]:
    """Option values as connectors take them; what cannot be found is added to `errors`."""
    values: dict[str, OptionValue] = {}
    for o in options:
        try:
            value, shown = _value(o, store)
        except StreamMagicError as e:
            errors.append(e)
            continue
        values[o.name.text] = OptionValue(value, shown, o.name.span, o.span)
    return values


def secrets_in(values: dict[str, OptionValue], options: Options) -> tuple[Secret, ...]:
    """What must not be shown of a statement's options: secrets, and all that options of type secret hold."""
    given = [v.value for v in values.values()]
    held = [getattr(options, f.name) for f in dataclasses.fields(options)]
    return tuple(dict.fromkeys(v for v in (*given, *held) if isinstance(v, Secret)))


def _value(o: OptionLiteral, store: SecretStore) -> tuple[str | int | float | bool | Secret, str]:
    if o.kind == "secret":
        return store.find(str(o.value), o), f"secret('{o.value}')"
    if o.kind != "string" or "${" not in str(o.value):
        return o.value, str(o.value)

    def expand(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            hint = "set it before Jupyter starts, or with os.environ in a cell"
            raise ConfigError(
                "SM7032", f"there is no environment variable {name}", hint=hint, span=o.span
            )
        return os.environ[name]

    return _ENV.sub(expand, str(o.value)), str(o.value)
