"""Examples run as their readers run them: in a process of their own, here without a network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[3]


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """An environment in which every download fails at once, and no data set has been downloaded before."""
    nowhere = "http://127.0.0.1:9"  # the discard port, where nobody listens
    return {**os.environ, "http_proxy": nowhere, "https_proxy": nowhere, "SCIKIT_LEARN_DATA": str(tmp_path / "no-data")}
