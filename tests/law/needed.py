"""What a law run must have met: every rule of the planner, every aggregate, join, window, clause."""

from __future__ import annotations

from support.grammar.shapes import SHAPES


def needed() -> set[str]:
    return {f"form:{shape.__name__}" for _, shape in SHAPES}
