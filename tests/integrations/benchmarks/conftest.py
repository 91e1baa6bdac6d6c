"""Programs with sessions of their own."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """None is started."""
