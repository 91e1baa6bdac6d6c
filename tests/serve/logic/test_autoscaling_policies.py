"""Policies of the user's: asked with what is known, held to limits and delays, and harmless where they raise."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from shoal.serve._internal.logic.autoscaling import Autoscaling
from shoal.serve.autoscaling_policy import default_autoscaling_policy
from shoal.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy


def scaling(function: Any, **options: Any) -> Autoscaling:
    policy = AutoscalingPolicy(policy_function=function, policy_kwargs=options.pop("kwargs", {}))
    given = {"max_replicas": 10, "upscale_delay_s": 0, "downscale_delay_s": 0, **options}
    return Autoscaling(AutoscalingConfig(policy=policy, **given), ("app", "Model"), max_ongoing=2)


def test_a_policy_knows_its_deployment_and_its_own_state() -> None:
    seen: list[AutoscalingContext] = []

    def policy(context: AutoscalingContext, step: int) -> tuple[int, Mapping[str, Any]]:
        seen.append(context)
        return context.current_num_replicas + step, {"calls": context.policy_state.get("calls", 0) + 1}

    asked = scaling(policy, kwargs={"step": 2})
    asked.record(7, now=0.0)
    assert asked.decide(1, now=0.0) == 3
    assert asked.decide(3, now=5.0) == 5
    first, second = seen
    assert (first.app_name, first.deployment_name, first.total_num_requests, first.total_queued_requests) == (
        "app",
        "Model",
        7,
        5,
    )
    assert (first.policy_state, second.policy_state) == ({}, {"calls": 1})
    assert (first.last_scale_up_time, second.last_scale_up_time) == (None, 0.0)


class Counts:
    """A policy with a state of its own."""

    made = 0

    def __init__(self, step: int) -> None:
        Counts.made += 1
        self.step, self.calls = step, 0

    def __call__(self, context: AutoscalingContext) -> tuple[int, Mapping[str, Any]]:
        self.calls += 1
        return self.step * self.calls, {}


def test_a_policy_knows_what_replicas_tell_of_themselves() -> None:
    seen: list[AutoscalingContext] = []

    def policy(context: AutoscalingContext) -> tuple[int, Mapping[str, Any]]:
        seen.append(context)
        return 1, {}

    asked = scaling(policy, look_back_period_s=10)
    asked.told("a", {"cpu": 20}, now=0.0)
    asked.told("a", {"cpu": 40}, now=8.0)
    asked.told("b", {"cpu": 90, "memory": 5}, now=9.0)
    for now in (9.0, 15.0, 30.0):
        asked.decide(1, now)
    assert seen[0].raw_metrics == {"cpu": {"a": [20, 40], "b": [90]}, "memory": {"b": [5]}}
    assert seen[0].aggregated_metrics == {"cpu": {"a": 30, "b": 90}, "memory": {"b": 5}}
    assert seen[1].aggregated_metrics == {"cpu": {"a": 40, "b": 90}, "memory": {"b": 5}}
    assert seen[2].aggregated_metrics == {}


def test_a_class_is_made_an_object_of_once() -> None:
    asked = scaling(Counts, kwargs={"step": 2})
    assert [asked.decide(1, now=float(time)) for time in range(3)] == [2, 4, 6]
    assert Counts.made == 1


def test_a_policy_is_asked_while_nobody_asks_for_anything() -> None:
    assert scaling(lambda context: (2, {}), metrics_interval_s=5).deadline(1, now=1.0) == 6.0


def test_limits_and_delays_hold() -> None:
    asked = scaling(lambda context: (50, {}), upscale_delay_s=10)
    assert asked.decide(1, now=0.0) == 1
    assert asked.decide(1, now=10.0) == 10
    assert scaling(lambda context: (0.2, {}), min_replicas=0).decide(5, now=0.0) == 1


@pytest.mark.parametrize("wrong", [None, "many", (None, {}), (float("nan"), {})])
def test_a_policy_that_fails_changes_nothing_and_is_told(wrong: Any) -> None:
    asked = scaling(lambda context: wrong)
    assert asked.decide(4, now=0.0) == 4
    assert asked.problem


def test_the_default_can_be_asked_by_name() -> None:
    plain = Autoscaling(AutoscalingConfig(max_replicas=10, upscale_delay_s=0))
    named = scaling(default_autoscaling_policy)
    for one in (plain, named):
        one.record(9, now=0.0)
    assert plain.decide(2, now=0.0) == named.decide(2, now=0.0) == 5


def test_import_paths_are_read_when_the_code_is_there() -> None:
    policy = AutoscalingPolicy(policy_function="shoal.serve.autoscaling_policy:default_autoscaling_policy")
    assert policy.resolved().policy_function is default_autoscaling_policy
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert pickle.loads(pickle.dumps(policy.resolved())).policy_function is default_autoscaling_policy
    missing = AutoscalingPolicy(policy_function="nowhere:policy")
    with pytest.raises(ValueError, match="'nowhere:policy' cannot be imported: No module named 'nowhere'"):
        missing.resolved()
    with pytest.raises(ValueError, match="give a function, or its import path"):
        AutoscalingPolicy(policy_function="nowhere")
