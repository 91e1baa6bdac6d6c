from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import shoal


@pytest.fixture
def start() -> Iterator[Callable[..., Any]]:
    """Starts an inline session; it is gone after the test, with all its threads."""
    before = set(threading.enumerate())

    def start(num_cpus: float = 4, **arguments: Any) -> Any:
        return shoal.init(local_mode=True, num_cpus=num_cpus, **arguments)

    yield start
    shoal.shutdown()
    assert set(threading.enumerate()) <= before


@pytest.fixture
def session(start: Callable[..., Any]) -> Any:
    return start()
