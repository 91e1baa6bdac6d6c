"""What the tests of shoal.data share: one session a module, and both ways to run a plan."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import shoal
from shoal.data import DataContext


@pytest.fixture(scope="module", autouse=True)
def no_session_of_other_modules() -> Iterator[None]:
    """A session that a dataset has started by itself does not outlive the module."""
    shoal.shutdown()
    yield
    shoal.shutdown()


@pytest.fixture(scope="module")
def shared_session(no_session_of_other_modules: None) -> Iterator[None]:
    """A session of two processors for all tests of a module."""
    shoal.init(num_cpus=2, log_to_driver=False)
    yield
    shoal.shutdown()


@pytest.fixture(params=["here", "tasks"])
def way(request: pytest.FixtureRequest, shared_session: None) -> Iterator[str]:
    """Runs a test twice: with plans that run in the driver, and with plans that run in tasks."""
    context = DataContext.get_current()
    before = context.small_data_size, context.columnar_data_size, context.target_min_block_size
    if request.param == "tasks":
        context.small_data_size = context.columnar_data_size = -1
        context.target_min_block_size = 1
    yield request.param
    context.small_data_size, context.columnar_data_size, context.target_min_block_size = before
