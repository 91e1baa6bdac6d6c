"""What needs no session."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """None is started."""
