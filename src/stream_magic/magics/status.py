"""`%stream status`: every node in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stream_magic.magics.display import Cell, Grid

if TYPE_CHECKING:
    from stream_magic.app.app import App

_HEADS = ("node", "kind", "state", "rows in", "rows out", "rate", "lag", "errors", "epoch", "")
_NUMERIC = (False, False, False, True, True, True, True, True, True, False)
_TONES = {"failed": "error", "reconnecting": "warn", "waiting": "quiet", "stopped": "quiet"}


def status_of(app: App) -> Grid:
    """The figures of every node, inputs before outputs."""
    nodes = app.status()
    state = "paused" if app.is_paused else "running" if app.is_started else "stopped"
    title = f"{app.name}: {state}, epoch {app.epoch:,}"
    if not nodes:
        title += ", no nodes yet: write CREATE SOURCE in a %%stream cell"
    return Grid(title, _HEADS, _NUMERIC, [_row(name, facts) for name, facts in nodes.items()])


def _row(name: str, facts: dict[str, Any]) -> list[Cell]:
    from stream_magic.views.words import duration, number, rate

    state = str(facts["state"])
    lag = facts["lag_s"]
    errors = int(facts["errors"])
    return [
        Cell(name),
        Cell(str(facts["kind"]), "quiet"),
        Cell(state, _TONES.get(state, "")),
        Cell(number(facts["rows_in"])),
        Cell(number(facts["rows_out"])),
        Cell(f"{rate(facts['rows_per_s'])}/s"),
        Cell("" if lag is None else duration(lag)),
        Cell(number(errors), "error" if errors else ""),
        Cell(number(facts["epoch"])),
        Cell(str(facts["message"]), _TONES.get(state, "")),
    ]
