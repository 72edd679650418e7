"""Python functions for the time of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream_magic.app.session import session


@pytest.fixture
def _functions() -> Iterator[None]:
    """What a test defines is gone behind it."""
    yield
    for function in session().functions:
        session().functions.put(function.name, None)
