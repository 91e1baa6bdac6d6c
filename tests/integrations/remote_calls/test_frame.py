"""Calls that travel together, made in this process."""

from __future__ import annotations

import pickle
import time

import pytest

from shoal import cloudpickle
from shoal.util.remote_calls.frame import run_frame


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """None is needed."""


def test_outcomes_come_in_order() -> None:
    arguments = pickle.dumps([((1,), {}), ((0,), {}), ((4,), {})])
    _, outcomes = run_frame(cloudpickle.dumps(lambda number: 4 / number), "call", arguments)
    first, second, third = pickle.loads(outcomes)
    assert (first, third) == ((True, 4.0), (True, 1.0))
    assert isinstance(second[1].exception(), ZeroDivisionError)


def test_calls_behind_one_that_takes_long_are_left_to_others() -> None:
    arguments = pickle.dumps([((nap,), {}) for nap in (0, 0.05, 0, 0)])
    seconds, outcomes = run_frame(cloudpickle.dumps(time.sleep), "call", arguments)
    assert pickle.loads(outcomes) == [(True, None)] * 2
    assert seconds >= 0.05
