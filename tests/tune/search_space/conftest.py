"""Nothing here runs anything: no session is needed."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """In the place of the session that other tests of Tune share."""
