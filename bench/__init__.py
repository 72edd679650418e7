"""Repeatable benchmarks: each prints a ratio against a reference in the same run."""

from __future__ import annotations
