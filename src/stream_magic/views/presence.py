"""Whether anybody looks: a view that no browser shows is not refreshed.

ipywidgets keeps every widget alive and the kernel is not told when an output is cleared,
so the browser says when it opens and closes a view. Before the first word from a browser
(nbclient, a slow page) a view is refreshed all the same.
"""

from __future__ import annotations

from typing import Any

from stream_magic.views.pump import Pump, View


class Presence:
    """Keeps a view in the pump while a browser shows it, and until its widget is closed."""

    def __init__(self, view: View, widget: Any, pump: Pump) -> None:
        self._view = view
        self._pump = pump
        self._open: set[str] = set()
        widget.on_msg(self._hear)
        widget.observe(self._comm_changed, "comm")
        pump.add(view)

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, dict):
            return
        ident = str(content.get("id", ""))
        if content.get("what") == "opened":
            self._open.add(ident)
            self._pump.add(self._view)
        elif content.get("what") == "closed":
            self._open.discard(ident)
            if not self._open:
                self._pump.drop(self._view)

    def _comm_changed(self, change: Any) -> None:
        if change["new"] is None:
            self._pump.drop(self._view)
