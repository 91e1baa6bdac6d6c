"""Schedulers need no session. Their tests import the simulator that lies beside them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """Begins none."""
