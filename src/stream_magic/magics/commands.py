"""`%stream COMMAND`: one function for each command; its docstring is its help."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stream_magic.errors import ConfigError, StreamMagicError
from stream_magic.magics.arguments import Line, Word, read_line, refuse_surplus, refuse_unknown
from stream_magic.magics.display import Grid, Rows, Sentence, show_result
from stream_magic.magics.notebook import Notebook

if TYPE_CHECKING:
    import pyarrow as pa

    from stream_magic.app.app import App

PREVIEW_ROWS = 20
LATER = ("monitor", "retry", "quiesce", "dashboard", "save", "wizard", "engine", "deploy", "attach")


@dataclass(frozen=True)
class Call:
    """A command as it was given."""

    notebook: Notebook
    line: Line
    words: tuple[Word, ...]

    @property
    def app(self) -> App:
        option = self.line.options.get("app")
        if option is None or option.value is None:
            return self.notebook.app()
        return self.notebook.app(option.value.text, option.value.span)

    def name(self, usage: str) -> Word:
        """The first word, which the command needs."""
        if not self.words:
            raise ConfigError("SM7068", "which one is not said", hint=f"write {usage}")
        return self.words[0]


@dataclass(frozen=True)
class Command:
    """A word after `%stream`."""

    usage: str
    most_words: int
    run: Callable[[Call], Any]
    flags: tuple[str, ...] = ()

    @property
    def doc(self) -> str:
        return (self.run.__doc__ or "").strip().split("\n")[0]


def run(notebook: Notebook, text: str) -> Any:
    """Runs one line; without a command it is `status`, or `help` while there is no app."""
    line = read_line("%stream", text.strip(), _flags())
    if not line.words:
        return COMMANDS["status" if notebook.known_app() else "help"].run(Call(notebook, line, ()))
    word = line.words[0]
    name = word.text.lower()
    if name in LATER:
        raise ConfigError(
            "SM7069", f"%stream {name} is not there yet",
            hint="%stream help lists what is", span=word.span,
        )  # fmt: skip
    command = COMMANDS.get(name)
    if command is None:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(COMMANDS)}"
        raise ConfigError(
            "SM7070", f"%stream has no command '{word.text}'", hint=hint, span=word.span
        )
    refuse_unknown(line, f"%stream {name}", ("app", *command.flags))
    refuse_surplus(line, f"%stream {name}", command.most_words + 1, command.usage)
    return command.run(Call(notebook, line, line.words[1:]))


def _status(call: Call) -> Grid:
    """Every node: state, rows, rate, lag, errors."""
    from stream_magic.magics.status import status_of

    return status_of(call.app)


def _app(call: Call) -> App:
    """The app itself, for Python: app = %stream app."""
    return call.app


def _start(call: Call) -> Sentence:
    """Starts the app, and lets cells start it again after `%stream stop`."""
    app = call.app
    call.notebook.hold(app, on=False)
    app.start()
    app.resume()
    return Sentence(f"{app.name} runs")


def _stop(call: Call) -> Sentence:
    """Stops the app, sources first; cells do not start it until `%stream start`."""
    app = call.app
    call.notebook.hold(app, on=True)
    app.stop()
    return Sentence(f"{app.name} is stopped at epoch {app.epoch:,}; %stream start goes on")


def _pause(call: Call) -> Sentence:
    """No epoch begins until resume; step makes one by hand."""
    app = call.app
    if not app.is_started:
        return Sentence(f"{app.name} is stopped already; %stream step makes one epoch")
    app.pause()
    return Sentence(f"{app.name} is paused at epoch {app.epoch:,}; %stream resume goes on")


def _resume(call: Call) -> Sentence:
    """Goes on after pause."""
    app = call.app
    app.resume()
    return Sentence(
        f"{app.name} runs" if app.is_started else f"{app.name} is stopped: %stream start starts it"
    )


def _step(call: Call) -> Sentence:
    """One epoch by hand, of an app that is paused or stopped."""
    from stream_magic.app.interrupts import uninterrupted

    app = call.app
    with uninterrupted():
        app.step()
    return Sentence(f"{app.name} is at epoch {app.epoch:,}")


def _preview(call: Call) -> Rows:
    """The last rows of a stream, or rows of a table or cache: 20, or as many as you say."""
    word = call.name(COMMANDS["preview"].usage)
    count = PREVIEW_ROWS
    if len(call.words) > 1:
        number = call.words[1]
        if not number.text.isdigit() or int(number.text) < 1:
            raise ConfigError(
                "SM7002", f"'{number.text}' is no number of rows",
                hint=f"write %stream preview {word.text} 50", span=number.span,
            )  # fmt: skip
        count = int(number.text)
    with _in_line(word):
        handle = call.app[word.text]
    return Rows(handle.preview(count), handle.name, most=count)


def _describe(call: Call) -> Any:
    """The columns of a name; the options of CONNECTOR kafka or FORMAT csv."""
    return _statement(call, "DESCRIBE", COMMANDS["describe"].usage)


def _explain(call: Call) -> Any:
    """The plan of a query; with --analyze what each node did, and what it keeps."""
    verb = "EXPLAIN ANALYZE" if "analyze" in call.line.options else "EXPLAIN"
    return _statement(call, verb, COMMANDS["explain"].usage)


def _drop(call: Call) -> Sentence:
    """Takes a node out of the app."""
    word = call.name(COMMANDS["drop"].usage)
    _statement(call, "DROP", COMMANDS["drop"].usage)
    return Sentence(f"{word.text} is gone")


def _errors(call: Call) -> Any:
    """Rows that a node could not handle, with the reason; without a name of all nodes."""
    app = call.app
    if call.words:
        word = call.words[0]
        with _in_line(word):
            name = word.text.lower().removeprefix("errors.")
            handle = app[f"errors.{name}"]
        return Rows(_newest_first(handle.preview(PREVIEW_ROWS)), handle.name)
    import pyarrow as pa

    parts = []
    for node, facts in app.status().items():
        rows = app[f"errors.{node}"].preview(PREVIEW_ROWS) if facts["errors"] else None
        if rows is not None and rows.num_rows:
            names = pa.array([node] * rows.num_rows, pa.string())
            parts.append(_newest_first(rows).add_column(0, "node", names))
    if not parts:
        return Sentence(f"{app.name} has no errors")
    return Rows(pa.concat_tables(parts), "errors")


def _help(call: Call) -> Any:
    """What there is; of a command, an error code, a connector or a format: more about it."""
    from stream_magic.magics.help import help_on

    if not call.words:
        return Grid(
            "%stream COMMAND [--app APP]", ("command", "what it does"), (False, False),
            [command_row(c) for c in COMMANDS.values()],
        )  # fmt: skip
    return help_on(call.words[0], COMMANDS)


COMMANDS = {
    "status": Command("%stream status", 0, _status),
    "app": Command("%stream app", 0, _app),
    "start": Command("%stream start", 0, _start),
    "stop": Command("%stream stop", 0, _stop),
    "pause": Command("%stream pause", 0, _pause),
    "resume": Command("%stream resume", 0, _resume),
    "step": Command("%stream step", 0, _step),
    "preview": Command("%stream preview NAME [ROWS]", 2, _preview),
    "describe": Command("%stream describe NAME", 2, _describe),
    "explain": Command("%stream explain NAME [--analyze]", 1, _explain, ("analyze",)),
    "drop": Command("%stream drop NAME", 1, _drop),
    "errors": Command("%stream errors [NAME]", 1, _errors),
    "help": Command("%stream help [WORD]", 1, _help),
}


def command_row(command: Command) -> list[Any]:
    from stream_magic.magics.display import Cell

    return [Cell(command.usage), Cell(command.doc, "quiet")]


def _flags() -> set[str]:
    return {flag for command in COMMANDS.values() for flag in command.flags}


def _statement(call: Call, verb: str, usage: str) -> Any:
    """The command as a statement; what is said of it points into the line."""
    call.name(usage)
    *before, word = call.words
    text = " ".join([verb, *(w.text for w in before), _quoted(word.text)])
    with _in_line(word):
        result = call.app.execute(text)
    return None if result is None else show_result(result)


@contextmanager
def _in_line(word: Word) -> Iterator[None]:
    """Errors inside point at a word of the magic's line."""
    try:
        yield
    except StreamMagicError as e:
        e.span = word.span
        raise


def _quoted(name: str) -> str:
    if re.fullmatch(r"[A-Za-z_][\w-]*(\.\w+)?", name):
        return name
    return '"' + name.replace('"', '""') + '"'


def _newest_first(rows: pa.Table) -> pa.Table:
    return rows.take(list(range(rows.num_rows - 1, -1, -1))) if rows.num_rows else rows
