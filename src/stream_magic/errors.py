"""Every error that a user can meet, in one family.

```
StreamMagicError
├── LanguageError   SM1xxx the text is not StreamSQL, SM2xxx a name or type does not fit
├── PlanError       SM3xxx there is no incremental rule for it (the hint says what to write)
├── ConnectorError  SM4xxx an outside system cannot be reached or used
│   └── NotThereError  what is to be read is not there, or not yet
├── DataError       SM5xxx a row cannot be decoded or computed (kept in errors.NAME)
├── DeliveryError   SM6xxx a target did not take what it was given
├── ConfigError     SM7xxx an option, secret or setting is missing or wrong
├── SecurityError   SM8xxx not allowed
└── InternalError   SM9xxx our fault; keeps its traceback
```

A message says what, where (a caret in the cell), why, and what to write instead.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A piece of a cell: offsets into `text`, end exclusive."""

    text: str
    start: int
    end: int

    @property
    def line(self) -> int:
        """Line of the start, from 1."""
        return self.text.count("\n", 0, self.start) + 1

    @property
    def column(self) -> int:
        """Column of the start, from 1."""
        return self.start - (self.text.rfind("\n", 0, self.start) + 1) + 1

    @property
    def fragment(self) -> str:
        return self.text[self.start : self.end]

    def caret(self, note: str = "") -> str:
        """The line of the cell with `^^^` below the span."""
        line_start = self.text.rfind("\n", 0, self.start) + 1
        line_end = self.text.find("\n", self.start)
        line = self.text[line_start : line_end if line_end >= 0 else len(self.text)]
        width = max(1, min(self.end, line_start + len(line)) - self.start)
        number = str(self.line)
        pad = " " * (self.start - line_start)
        tabbed = "".join("\t" if c == "\t" else " " for c in line[: self.start - line_start]) or pad
        tail = f" {note}" if note else ""
        return f"  {number} | {line}\n  {' ' * len(number)} | {tabbed}{'^' * width}{tail}"


class StreamMagicError(Exception):
    """What went wrong, where, why, and what to write instead.

    Args:
        code: `SMnnnn`; the first digit is the family.
        message: one sentence in the user's names.
        hint: what to write or do instead.
        span: the place in the cell.
        note: said beside the caret, for example the columns that there are.
        transient: True if trying again may help; the engine then backs off and retries.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        span: Span | None = None,
        note: str = "",
        transient: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.span = span
        self.note = note
        self.transient = transient

    def __str__(self) -> str:
        lines = [f"{self.code} {self.message}"]
        if self.span is not None:
            lines.append(self.span.caret(self.note))
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """IPython shows these lines in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class LanguageError(StreamMagicError):
    """The text is not StreamSQL (SM1xxx), or a name or a type does not fit (SM2xxx)."""


class PlanError(StreamMagicError):
    """The query has no incremental rule (SM3xxx); the hint says what to write instead."""


class ConnectorError(StreamMagicError):
    """An outside system cannot be reached, or is not set up as needed (SM4xxx)."""


class NotThereError(ConnectorError):
    """The system answers, but the topic or file to read is not there; a target of the same app may still make it."""


class DataError(StreamMagicError):
    """A row cannot be decoded or computed (SM5xxx)."""


class DeliveryError(StreamMagicError):
    """A target did not take what it was given (SM6xxx)."""


class ConfigError(StreamMagicError):
    """An option, a secret or a setting is missing or wrong (SM7xxx)."""


class SecurityError(StreamMagicError):
    """This is not allowed (SM8xxx)."""


class InternalError(StreamMagicError):
    """Our fault (SM9xxx): keeps its traceback."""

    def _render_traceback_(self) -> list[str]:
        import traceback

        return traceback.format_exception(self)


class CellError(StreamMagicError):
    """All errors of one cell. Nothing of the cell was applied."""

    def __init__(self, errors: list[StreamMagicError]) -> None:
        first = errors[0]
        super().__init__(first.code, first.message, hint=first.hint, span=first.span)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        parts = [StreamMagicError.__str__(e) for e in self.errors]
        return "\n\n".join([*parts, "Nothing in this cell was applied."])
