"""What the magics remember between two cells: the app in use, unnamed queries, views by cell."""

from __future__ import annotations

import difflib
import hashlib
import weakref
from typing import TYPE_CHECKING, Any

from stream_magic.errors import ConfigError, Span, StreamMagicError

if TYPE_CHECKING:
    from stream_magic.app.app import App

DEFAULT_APP = "main"


class Notebook:
    """One shell's apps and cells. A cell is known by the id that its front end gives it, if it gives one."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.matcher: Any = None
        self._current: str | None = None
        self._held: weakref.WeakSet[App] = weakref.WeakSet()
        self._cell_id: str | None = None
        self._raw_cell = ""
        self._unnamed: dict[str, tuple[weakref.ref[App], str]] = {}
        self._views: dict[str, list[Any]] = {}

    # --- cells ---------------------------------------------------------------------------------------

    def cell_begins(self, info: Any) -> None:
        """Called by the shell before a cell runs. Never raises: the cell is somebody else's."""
        self._cell_id = getattr(info, "cell_id", None)
        self._raw_cell = str(getattr(info, "raw_cell", None) or "")
        meta = getattr(info, "cell_meta", None)
        gone = meta.get("deletedCells") if isinstance(meta, dict) else None
        for cell_id in gone if isinstance(gone, list) else []:
            self._forget(str(cell_id))

    def cell_text(self, magic: str, cell: str) -> str:
        """The body with as many empty lines before it as stand above it in the cell: places in messages then count as the user does."""
        head, found, _ = self._raw_cell.partition(magic)
        above = head.count("\n") if found and not head.strip() else 0
        return "\n" * (above + 1) + cell

    def keep_view(self, *views: Any) -> None:
        """Closes what this cell showed before, and remembers what it shows now."""
        if self._cell_id is None:
            return
        for view in self._views.pop(self._cell_id, []):
            view.close()
        self._views[self._cell_id] = list(views)

    # --- apps ----------------------------------------------------------------------------------------

    def make_app(self, name: str | None) -> App:
        """The newest app of that name, made if there is none."""
        from stream_magic.app.app import App
        from stream_magic.app.session import session

        name = name or DEFAULT_APP
        return session().find(name) or App(name)

    def use(self, app: App) -> None:
        """What cells that name no app speak to from now on."""
        self._current = app.name

    def app(self, name: str | None = None, span: Span | None = None) -> App:
        """An app by name, else that of the last `%%stream`, else the newest.

        Raises:
            ConfigError: there is none.
        """
        from stream_magic.app.session import session

        apps = session()
        wanted = name or self._current
        found = apps.find(wanted) if wanted else None
        if found is None and name is None:
            found = next(reversed(apps.apps()), None)
        if found is not None:
            return found
        names = apps.names()
        if name is None or not names:
            raise ConfigError(
                "SM7065",
                "there is no app yet" if name is None else f"there is no app '{name}'",
                hint="run a %%stream cell first",
                span=span,
            )
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(names)}"
        raise ConfigError("SM7065", f"there is no app '{name}'", hint=hint, span=span)

    def known_app(self) -> App | None:
        """The app in use, if one was made; imports nothing (completion asks at every key)."""
        import sys

        if "stream_magic.app.app" not in sys.modules:
            return None
        try:
            return self.app()
        except StreamMagicError:
            return None

    def hold(self, app: App, *, on: bool) -> None:
        """`%stream stop` keeps cells from starting an app, `%stream start` lets them again."""
        if on:
            self._held.add(app)
        else:
            self._held.discard(app)

    def start(self, app: App) -> bool:
        """Starts an app after its statements, unless the user stopped it; returns whether it runs."""
        if app not in self._held:
            app.start()
        return app.is_started

    # --- queries without a name ----------------------------------------------------------------------

    def unnamed(self, app: App, text: str) -> str:
        """The name of this cell's query: the same whenever this cell runs."""
        if self._cell_id is None:
            return f"cq_{hashlib.sha256(' '.join(text.split()).encode()).hexdigest()[:6]}"
        known = self._unnamed.get(self._cell_id)
        if known is not None and known[0]() is app:
            return known[1]
        taken = {n for of_app, n in self._unnamed.values() if of_app() is app}
        number = 1
        while f"cq_{number}" in taken or f"cq_{number}" in app:
            number += 1
        return f"cq_{number}"

    def keep_unnamed(self, app: App, name: str) -> None:
        """Called when the query exists: its cell now owns it, and no other."""
        owned = (weakref.ref(app), name)
        if self._cell_id is not None and self._unnamed.get(self._cell_id) != owned:
            self._drop_of(self._cell_id)
            self._unnamed[self._cell_id] = owned

    def drop_unnamed(self) -> None:
        """This cell has no unnamed query any more."""
        if self._cell_id is not None:
            self._drop_of(self._cell_id)

    def _forget(self, cell_id: str) -> None:
        self._drop_of(cell_id)
        for view in self._views.pop(cell_id, []):
            view.close()

    def _drop_of(self, cell_id: str) -> None:
        known = self._unnamed.pop(cell_id, None)
        app = known[0]() if known is not None else None
        if app is None or known is None:
            return
        try:
            app.execute(f"DROP STREAM IF EXISTS {known[1]}")
        except StreamMagicError:
            return  # something reads it by the name that was shown: then it stays

    def close(self) -> None:
        """Stops all apps of the process."""
        import sys

        for views in self._views.values():
            for view in views:
                view.close()
        self._views.clear()
        self._unnamed.clear()
        if "stream_magic.app.session" in sys.modules:
            from stream_magic.app.session import session

            session().close()
