"""Which failures of runners are answered how."""

from __future__ import annotations

from typing import Any

from shoal.rllib._internal.runners.restarts import Decision, Restarts, RestartSettings


def restarts(**changes: Any) -> Restarts:
    settings = {"restart": True, "ignore": False, "most_restarts": 5, "delay_s": 60.0, "consecutive_failures": 3}
    return Restarts(RestartSettings(**(settings | changes)))


def test_a_first_failure_is_answered_at_once() -> None:
    assert restarts().failed(1, 0.0, others=3) is Decision.REPLACE


def test_a_second_one_waits_so_long_as_others_go_on() -> None:
    policy = restarts()
    policy.failed(1, 0.0, others=1)
    assert policy.failed(1, 10.0, others=1) is Decision.LEAVE_OUT
    assert not policy.may_come_back(1, 59.0)
    assert policy.may_come_back(1, 60.0)
    assert policy.total == 2
    assert policy.failed(1, 61.0, others=0) is Decision.REPLACE


def test_answers_count_failures_anew() -> None:
    policy = restarts(delay_s=0.0)
    for now in range(3):
        assert policy.failed(1, float(now), others=0) is Decision.REPLACE
    assert policy.failed(1, 3.0, others=0) is Decision.RAISE
    policy.succeeded(1)
    assert policy.failed(1, 4.0, others=0) is Decision.REPLACE


def test_there_is_an_end_to_replacements() -> None:
    policy = restarts(most_restarts=1, delay_s=0.0)
    assert policy.failed(1, 0.0, others=2) is Decision.REPLACE
    assert policy.failed(2, 1.0, others=2) is Decision.RAISE
    assert not policy.may_come_back(1, 99.0)


def test_one_that_hangs_twice_is_given_up() -> None:
    policy = restarts(delay_s=0.0)
    assert policy.failed(1, 0.0, others=0, stalled=True) is Decision.REPLACE
    assert policy.failed(1, 1.0, others=0, stalled=True) is Decision.RAISE
    lenient = restarts(delay_s=0.0, ignore=True)
    lenient.failed(1, 0.0, others=1, stalled=True)
    assert lenient.failed(1, 1.0, others=1, stalled=True) is Decision.LEAVE_OUT
    assert not lenient.may_come_back(1, 100.0)


def test_without_restarts() -> None:
    assert restarts(restart=False).failed(1, 0.0, others=2) is Decision.RAISE
    assert restarts(restart=False, ignore=True).failed(1, 0.0, others=2) is Decision.LEAVE_OUT
    assert restarts(restart=False, ignore=True).failed(1, 0.0, others=0) is Decision.RAISE
