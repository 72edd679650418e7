"""Secret values: they can be used, but not printed, compared in messages or pickled by accident."""

from __future__ import annotations


class Secret:
    """A text that shows as `***` wherever it is printed. `reveal()` at the moment of use only."""

    __slots__ = ("_value", "name")

    def __init__(self, value: str, name: str = "") -> None:
        self._value = value
        self.name = name

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"secret('{self.name}')" if self.name else "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")
