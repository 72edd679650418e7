from __future__ import annotations

import pytest

from stream_magic.contracts.registry import registry


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what came out into the golden files; then read the diff like code",
    )


@pytest.fixture(autouse=True)
def _own_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test adds to the registry is gone after it."""
    monkeypatch.setattr(registry, "_added", dict(registry._added))
