from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from stream_magic.app.app import App
from stream_magic.app.session import session
from stream_magic.errors import StreamMagicError


@dataclass
class Ran:
    """What a cell gave: its value, what it displayed, how it failed."""

    value: Any
    shown: list[Any]
    error: BaseException | None
    printed: str

    @property
    def text(self) -> str:
        """The displays as a terminal shows them."""
        return "\n".join(o.data.get("text/plain", "") for o in self.shown)

    @property
    def message(self) -> str:
        """What IPython shows of the error."""
        assert isinstance(self.error, StreamMagicError), self.error
        return "\n".join(self.error._render_traceback_())


class Cells:
    """A shell with the extension, run cell by cell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell

    def run(self, source: str, cell_id: str | None = None) -> Ran:
        with capture_output() as captured:
            result = self.shell.run_cell(source, cell_id=cell_id)
        error = result.error_before_exec or result.error_in_exec
        return Ran(result.result, captured.outputs, error, captured.stdout)

    def ok(self, source: str, cell_id: str | None = None) -> Ran:
        ran = self.run(source, cell_id)
        if ran.error is not None:
            raise ran.error
        return ran

    def fails(self, source: str, cell_id: str | None = None) -> str:
        ran = self.run(source, cell_id)
        assert ran.error is not None, f"no error: {source}"
        return ran.message

    @property
    def app(self) -> App:
        found = session().find("main")
        assert found is not None
        return found


ORDERS = """%%stream
CREATE SOURCE orders (id BIGINT, amount DOUBLE, item STRUCT(name VARCHAR, size STRUCT(height INT)))
  WITH (connector = 'memory');
CREATE STREAM big AS SELECT id, amount FROM orders WHERE amount > 10;"""


@pytest.fixture
def cells() -> Iterator[Cells]:
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "stream_magic")
    yield Cells(shell)
    shell.run_line_magic("unload_ext", "stream_magic")
    InteractiveShell.clear_instance()


@pytest.fixture
def orders(cells: Cells) -> Cells:
    """The shell with a memory source and a stream, running."""
    cells.ok(ORDERS)
    return cells
