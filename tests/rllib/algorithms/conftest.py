"""One session for the tests of a module that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import shoal


@pytest.fixture(scope="module")
def session() -> Iterator[None]:
    shoal.shutdown()
    shoal.init(num_cpus=4, log_to_driver=False, preload=["torch", "gymnasium"])
    yield
    shoal.shutdown()
