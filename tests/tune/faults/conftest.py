"""Programs of their own: no session here."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """None is started."""
