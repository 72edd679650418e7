"""Planted faults: each operator and rule has one, their lines stand in the sources; a few are hunted (`make faults`: all)."""

from __future__ import annotations

from law.faults import is_in_place, main
from law.planted import FAULTS, SOURCES

# What has no rule of its own, only says what others did, or is of Python functions or change events: they have tests of their own.
_OPERATORS = {"__init__", "apply", "base", "table", "template"}
_PLANNER = {
    "__init__", "aggregates", "arrival_nodes", "build", "calls", "clock", "columns", "context", "correlated", "explain", "extents", "folds", "guard", "identity",
    "in_row", "logical", "lower_timed", "parts", "plan", "references", "refuse", "remember", "state_bounds", "text", "volatile",
}  # fmt: skip


def test_every_fault_stands_in_the_sources_once() -> None:
    assert [f.name for f in FAULTS if not is_in_place(f)] == []


def test_every_operator_and_every_file_of_rules_has_a_fault() -> None:
    planted = {f.module for f in FAULTS}
    for folder, others in (("engine/operators", _OPERATORS), ("planner", _PLANNER)):
        rules = {p.stem for p in (SOURCES / folder).glob("*.py")} - others
        assert {r for r in rules if f"{folder.replace('/', '.')}.{r}" not in planted} == set()


def test_faults_are_found() -> None:
    assert main(["--only", "engine.operators.results", "--limit", "1500"]) == 0
