"""`%%stream`, `%%cq` and `%stream`: the calls of `App`, as cells of a notebook.

Nothing heavy is imported before the first cell runs: `%load_ext` must not be felt.
"""

from __future__ import annotations

from typing import Any

from stream_magic.magics.notebook import Notebook

_NOTEBOOK = "_stream_magic_notebook"


def register(shell: Any) -> None:
    """Makes the magics and the completion known to a shell."""
    from stream_magic.magics.completion import matcher_of
    from stream_magic.magics.magic import StreamMagics

    if getattr(shell, _NOTEBOOK, None) is not None:
        return
    notebook = Notebook(shell)
    shell.register_magics(StreamMagics(shell, notebook))
    notebook.matcher = matcher_of(notebook)
    shell.Completer.custom_matchers.append(notebook.matcher)
    shell.events.register("pre_run_cell", notebook.cell_begins)
    setattr(shell, _NOTEBOOK, notebook)


def unregister(shell: Any) -> None:
    """Stops all apps and takes the magics away."""
    notebook = getattr(shell, _NOTEBOOK, None)
    if notebook is None:
        return
    shell.events.unregister("pre_run_cell", notebook.cell_begins)
    shell.Completer.custom_matchers.remove(notebook.matcher)
    for kind, name in (("cell", "stream"), ("cell", "cq"), ("line", "stream")):
        shell.magics_manager.magics[kind].pop(name, None)
    notebook.close()
    setattr(shell, _NOTEBOOK, None)
