"""The apps of this process by name, and the Python functions that they share. The one place that knows them all.

`App(name)` makes itself known here; a magic speaks to the newest app of a name.
"""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING

from stream_magic.contracts.function import Function, Functions

if TYPE_CHECKING:
    from stream_magic.app.app import App

_EXIT_WAIT_S = 5.0  # a target that does not answer must not keep the process alive


class Session:
    """Apps in the order in which they were made: the newest of each name, and older ones that still run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._apps: list[App] = []
        self.functions = Functions()
        atexit.register(self._at_exit)

    def add(self, app: App) -> None:
        with self._lock:
            self._apps = [a for a in self._apps if a.name != app.name or a.is_started]
            self._apps.append(app)

    def define(self, function: Function) -> None:
        """Makes a Python function known to all apps; what uses the one that it replaces is planned anew.

        Raises:
            StreamMagicError: something that uses it does not work with it; then nothing has changed.
        """
        known = self.functions.get(function.name)
        if known is not None and known.is_same(function):
            return
        self.functions.put(function.name, function)
        try:
            changes = [app.redrafted(function.name) for app in self.apps()]
        except BaseException:
            self.functions.put(function.name, known)
            raise
        for change in changes:
            change()

    def forget(self, app: App) -> None:
        """A closed app answers no more."""
        with self._lock:
            self._apps = [a for a in self._apps if a is not app]

    def find(self, name: str) -> App | None:
        """The newest app of that name."""
        return next((a for a in reversed(self.apps()) if a.name == name), None)

    def apps(self) -> list[App]:
        with self._lock:
            return list(self._apps)

    def names(self) -> list[str]:
        return list(dict.fromkeys(a.name for a in self.apps()))

    def close(self) -> None:
        """Stops every app and forgets it."""
        with self._lock:
            apps, self._apps = self._apps, []
        for app in reversed(apps):
            app.close()

    def _at_exit(self) -> None:
        """Threads that are still in a client library when the interpreter goes can crash it: they are asked to end first."""
        stoppers = [threading.Thread(target=a.stop, daemon=True) for a in self.apps()]
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join(_EXIT_WAIT_S / len(stoppers))
        with self._lock:
            self._apps.clear()


_session: Session | None = None
_making = threading.Lock()


def session() -> Session:
    """The session of this process, made on first use."""
    global _session  # noqa: PLW0603  # the one state of the process
    with _making:
        if _session is None:
            _session = Session()
        return _session
