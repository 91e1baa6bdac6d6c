"""Names of environments, and whatever else users give."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import pytest

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.env import registration
from shoal.rllib.env.env_context import EnvContext
from shoal.rllib.env.registration import is_gymnasium_id, register_env, resolve_env
from shoal.rllib.utils.error import EnvError


def test_names_classes_and_functions() -> None:
    register_env("registered here", lambda context: ("here", dict(context)))
    assert resolve_env("registered here")(EnvContext({"a": 1})) == ("here", {"a": 1})
    env = resolve_env("CartPole-v1")(EnvContext({"max_episode_steps": 7}))
    assert env.spec.max_episode_steps == 7

    class Plain(gym.Env[Any, Any]):
        pass

    class Configured(gym.Env[Any, Any]):
        def __init__(self, config: Any) -> None:
            self.config = config

    assert isinstance(resolve_env(Plain)(EnvContext()), Plain)
    assert resolve_env(Configured)(EnvContext({"b": 2})).config == {"b": 2}
    with pytest.raises(EnvError, match="name=''"):
        register_env("", Plain)
    with pytest.raises(EnvError, match="env_creator=3"):
        register_env("x", 3)  # type: ignore[arg-type]
    with pytest.raises(EnvError, match="env=3"):
        resolve_env(3)


def test_names_that_tune_knows() -> None:
    from shoal import tune

    tune.register_env("registered with tune", lambda context: "tune")
    assert resolve_env("registered with tune")(EnvContext()) == "tune"


def test_configurations_take_creators_along_to_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    register_env("taken along", lambda context: "made")
    register_env("of evaluation", lambda context: "made for evaluation")
    register_env("cannot be taken", Unpicklable())
    config = PPOConfig().environment("taken along").evaluation(evaluation_config={"env": "of evaluation"})
    stuck = PPOConfig().environment("cannot be taken")
    pickled, pickled_stuck = pickle.dumps(config), pickle.dumps(stuck)
    monkeypatch.setattr(registration, "_CREATORS", {})  # as in another process
    there = pickle.loads(pickle.dumps(pickle.loads(pickled)))
    assert there.env == "taken along" and there == config
    assert resolve_env(there.env, there._luggage)(EnvContext()) == "made"
    assert is_gymnasium_id("CartPole-v1", there._luggage) and not is_gymnasium_id(there.env, there._luggage)
    assert resolve_env("of evaluation", there.copy()._luggage)(EnvContext()) == "made for evaluation"
    with pytest.raises(EnvError, match="no register_env"):
        resolve_env(config.env, config._luggage)
    with pytest.raises(EnvError, match=r"cannot be sent .*it holds a lock"):
        resolve_env("cannot be taken", pickle.loads(pickled_stuck)._luggage)
    # What is registered there goes before what came along.
    register_env("taken along", lambda context: "made there")
    assert resolve_env(there.env, there._luggage)(EnvContext()) == "made there"


class Unpicklable:
    def __call__(self, context: EnvContext) -> Any:
        return None

    def __reduce__(self) -> Any:
        raise TypeError("it holds a lock")


def test_contexts_are_dictionaries_that_know_where_they_are() -> None:
    context = EnvContext({"a": 1}, worker_index=2, vector_index=3, num_workers=4)
    context.set_defaults({"a": 9, "b": 5})
    changed = context.copy_with_overrides(worker_index=7)
    assert (dict(changed), changed.worker_index, changed.vector_index) == ({"a": 1, "b": 5}, 7, 3)
    again = pickle.loads(pickle.dumps(changed))
    assert (dict(again), again.worker_index, again.num_workers, again.recreated_worker) == (dict(changed), 7, 4, False)
