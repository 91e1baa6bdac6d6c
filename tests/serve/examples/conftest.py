"""Programs with sessions of their own."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """None is started."""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of numeric libraries that wait for one another by spinning take minutes on a busy machine."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
