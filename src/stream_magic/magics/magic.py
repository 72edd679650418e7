"""The three magics. Each reads its line, calls `App`, and shows what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class

from stream_magic.errors import (
    CellError,
    ConfigError,
    DataError,
    InternalError,
    StreamMagicError,
)
from stream_magic.magics.arguments import Line, read_line, refuse_surplus, refuse_unknown
from stream_magic.magics.notebook import Notebook

if TYPE_CHECKING:
    from stream_magic.app.app import App

ChartChoice = tuple[str, dict[str, Any]]
_CQ_OPTIONS = ("app", "chart", "once")
_CQ_USAGE = "%%cq [NAME] [--app APP] [--chart line --x COLUMN --y COLUMN] [--once]"


@magics_class
class StreamMagics(Magics):  # type: ignore[misc]
    """`%%stream`, `%%cq`, `%stream`."""

    def __init__(self, shell: Any, notebook: Notebook) -> None:
        super().__init__(shell)
        self._notebook = notebook

    @cell_magic("stream")  # type: ignore[untyped-decorator]
    def stream_cell(self, line: str, cell: str) -> None:
        """Runs statements: `%%stream [APP]`. A cell with an error changes nothing."""
        from IPython.display import display

        from stream_magic.magics.display import Notes, show_result
        from stream_magic.views import show_app

        with _whole_cell():
            given = read_line("%%stream", line)
            refuse_unknown(given, "%%stream", ("app",))
            refuse_surplus(given, "%%stream", 0 if "app" in given.options else 1, "%%stream [APP]")
            name = given.words[0].text if given.words else given.value("app")
            app = self._notebook.make_app(name)
            with _query_errors():
                result = app.execute(self._notebook.cell_text("%%stream", cell))
            self._notebook.use(app)
            warnings = list(app.warnings)
            self._notebook.start(app)
            if result is not None:
                self._notebook.keep_view()
                display(show_result(result))
            else:
                view = show_app(app.feed)
                self._notebook.keep_view(view)
                display(view)
            if warnings:
                display(Notes(warnings))

    @cell_magic("cq")  # type: ignore[untyped-decorator]
    def cq_cell(self, line: str, cell: str) -> None:
        """Runs one SELECT continuously and shows it: `%%cq [NAME] [--chart line --x a --y b] [--once]`."""
        from IPython.display import display

        from stream_magic.magics.display import Notes, Rows

        with _whole_cell():
            given = read_line("%%cq", line, flags=("once",))
            refuse_surplus(given, "%%cq", 1, _CQ_USAGE)
            chart = _chart_of(given)
            app = self._app_of(given)
            text = self._notebook.cell_text("%%cq", cell)
            if "once" in given.options:
                with _query_errors():
                    rows = app.sql(text).to_arrow_table()
                self._notebook.keep_view()
                display(Rows(rows))
                return
            view = self._query(app, given, text, chart)
            warnings = list(app.warnings)
            self._notebook.start(app)
            self._notebook.keep_view(view)
            display(view)
            if warnings:
                display(Notes(warnings))

    @line_magic("stream")  # type: ignore[untyped-decorator]
    def stream_line(self, line: str) -> Any:
        """Looks at and steers the app: `%stream status`, `%stream help`."""
        from stream_magic.magics.commands import run

        with _errors_as_they_are():
            return run(self._notebook, line)

    def _app_of(self, given: Line) -> App:
        option = given.options.get("app")
        if option is not None and option.value is not None:
            return self._notebook.app(option.value.text, option.value.span)
        try:
            return self._notebook.app()
        except ConfigError:
            return self._notebook.make_app(None)

    def _query(self, app: App, given: Line, text: str, chart: ChartChoice | None) -> Any:
        """The view of the query. One that cannot be drawn changes nothing."""
        from stream_magic.views import check_chart, show_chart, show_table

        is_named = bool(given.words)
        name = _name_of(given, app) if is_named else self._notebook.unnamed(app, text)
        check = None if chart is None else lambda columns: check_chart(columns, *chart)
        feed: Any = app.create_query(name, text, check).feed
        view = show_table(feed) if chart is None else show_chart(feed, *chart)
        if is_named:
            self._notebook.drop_unnamed()
        else:
            self._notebook.keep_unnamed(app, name)
        return view


def _name_of(given: Line, app: App) -> str:
    """The name of the query, which must not be that of something else."""
    word = given.words[0]
    if not word.text.isidentifier():
        hint = "write letters, digits and _, beginning with a letter"
        raise ConfigError("SM7066", f"'{word.text}' cannot name a query", hint=hint, span=word.span)
    kinds = {name.lower(): facts["kind"] for name, facts in app.status().items()}
    kind = kinds.get(word.text.lower(), "stream")
    if kind != "stream":
        hint = "choose another name"
        raise ConfigError("SM7072", f"{word.text} is a {kind}", hint=hint, span=word.span)
    return word.text


def _chart_of(given: Line) -> ChartChoice | None:
    """The chart and its options, checked before anything changes.

    Raises:
        ConfigError: no such chart or option.
    """
    from stream_magic.contracts.options import (
        OptionErrors,
        OptionValue,
        describe_options,
        parse_options,
    )
    from stream_magic.contracts.registry import registry

    chart = given.options.get("chart")
    others = {n: o for n, o in given.options.items() if n not in _CQ_OPTIONS}
    if chart is None or chart.value is None:
        if _is_typo(others):
            refuse_unknown(given, "%%cq", _CQ_OPTIONS)
        if others:
            option = next(iter(others.values()))
            raise ConfigError(
                "SM7067", f"--{option.name} belongs to a chart",
                hint=f"add --chart {registry.names('charts')[0]}", span=option.name_span,
            )  # fmt: skip
        return None
    kind = registry.chart(chart.value.text, chart.value.span)
    names = [o.name for o in describe_options(kind.options_type)]
    refuse_unknown(given, f"%%cq --chart {chart.value.text}", (*_CQ_OPTIONS, *names))
    values = {
        n: OptionValue(o.value.text, o.value.text, o.name_span, o.value.span)
        for n, o in others.items()
        if o.value is not None
    }
    try:
        parse_options(kind.options_type, values, f"chart '{chart.value.text}'")
    except OptionErrors as e:
        raise CellError(e.errors) from None
    return chart.value.text, values


def _is_typo(others: dict[str, Any]) -> bool:
    """None of the options is one of any chart."""
    from stream_magic.contracts.options import describe_options
    from stream_magic.contracts.registry import registry

    if not others:
        return False
    known = {
        o.name
        for chart in registry.names("charts")
        for o in describe_options(registry.chart(chart).options_type)
    }
    return not any(n in known for n in others)


@contextmanager
def _whole_cell() -> Iterator[None]:
    """An error of a cell ends with what became of the cell: nothing was applied."""
    try:
        yield
    except (CellError, InternalError):
        raise
    except StreamMagicError as e:
        raise CellError([e]) from None


@contextmanager
def _errors_as_they_are() -> Iterator[None]:
    try:
        yield
    except StreamMagicError as e:
        raise e from None


@contextmanager
def _query_errors() -> Iterator[None]:
    """A snapshot that fails on its rows is an error of the query, not of ours."""
    import duckdb

    try:
        yield
    except duckdb.Error as e:
        message = str(e).split("\n", 1)[0]
        raise DataError(
            "SM5900", f"the query fails on its rows: {message}", hint="TRY(...) gives NULL instead"
        ) from None
