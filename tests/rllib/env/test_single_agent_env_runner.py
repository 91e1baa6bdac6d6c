"""Sampling: what comes, that it does not depend on how it is recorded, and that it goes on from a state as if nothing had happened."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib._internal.nested import leaves
from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.callbacks.callbacks import RLlibCallback
from shoal.rllib.connectors.env_to_module.flatten_observations import FlattenObservations
from shoal.rllib.connectors.env_to_module.mean_std_filter import MeanStdFilter
from shoal.rllib.env.env_errors import StepFailedRecreateEnvError
from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import EnvError


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Watching(RLlibCallback):
    """Overrides a hook of episodes, so that they are kept step by step."""

    def on_episode_start(self, *, episode: Any, **kwargs: Any) -> None:
        episode.custom_data["steps"] = 0

    def on_episode_step(self, *, episode: Any, **kwargs: Any) -> None:
        episode.custom_data["steps"] += 1

    def on_episode_end(
        self, *, episode: Any, prev_episode_chunks: Any = None, metrics_logger: Any = None, **kwargs: Any
    ) -> None:
        assert episode.custom_data["steps"] == episode.t == len(episode) + sum(map(len, prev_episode_chunks))
        metrics_logger.log_value("watched", episode.t, reduce="sum")


def config_of(env: Any = "CartPole-v1", *, watched: bool = False, model: Any = None, **settings: Any) -> Any:
    config = PPOConfig().environment(env, **settings.pop("environment", {}))
    config = config.env_runners(**{"num_env_runners": 0, "num_envs_per_env_runner": 2, **settings})
    config = config.debugging(seed=1).rl_module(model_config={"fcnet_hiddens": [16], **(model or {})})
    return config.callbacks(Watching) if watched else config


def assert_same(some: list[SingleAgentEpisode], others: list[SingleAgentEpisode]) -> None:
    assert [episode.id_ for episode in some] == [episode.id_ for episode in others]
    for one, other in zip(some, others, strict=True):
        assert (one.t_started, one.is_terminated, one.is_truncated) == (
            other.t_started,
            other.is_terminated,
            other.is_truncated,
        )
        assert one.infos.data == other.infos.data
        assert one.extra_model_outputs.keys() == other.extra_model_outputs.keys()
        pairs = [(one.observations, other.observations), (one.actions, other.actions), (one.rewards, other.rewards)]
        for mine, theirs in pairs:
            assert mine.lookback == theirs.lookback
            for a, b in zip(leaves(mine.data), leaves(theirs.data), strict=True):
                np.testing.assert_array_equal(a, b)
        for key, output in one.extra_model_outputs.items():
            for a, b in zip(leaves(output.data), leaves(other.extra_model_outputs[key].data), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


KINDS: dict[str, dict[str, Any]] = {
    "discrete": {},
    "continuous": {"env": "Pendulum-v1"},
    "one-hot": {"env": "FrozenLake-v1", "env_to_module_connector": lambda env, spaces, device: FlattenObservations()},
    "normalised": {"env_to_module_connector": lambda env, spaces, device: MeanStdFilter()},
    "lstm": {"model": {"use_lstm": True, "lstm_cell_size": 8}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_columns_and_growing_episodes_hold_the_same(kind: str) -> None:
    fast = SingleAgentEnvRunner(config=config_of(**KINDS[kind]))
    slow = SingleAgentEnvRunner(config=config_of(watched=True, **KINDS[kind]))
    assert fast._by_columns and not slow._by_columns
    for _ in range(3):
        assert_same(fast.sample(num_timesteps=90), slow.sample(num_timesteps=90))
    # States are taken while episodes go on; what follows is the same in the old runner and in a new one.
    for runner, watched in ((fast, False), (slow, True)):
        other = SingleAgentEnvRunner(config=config_of(watched=watched, **KINDS[kind]))
        other.set_state(runner.get_state())
        assert_same(runner.sample(num_timesteps=90), other.sample(num_timesteps=90))
    assert_same(fast.sample(num_episodes=2, explore=False), slow.sample(num_episodes=2, explore=False))
    assert_same(fast.sample(num_timesteps=30, random_actions=True), slow.sample(num_timesteps=30, random_actions=True))
    fast.stop()
    slow.stop()


class Counting(gym.Env[Any, Any]):
    """Observes how many steps an episode has; the reward is the same number. Ends after `length`."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.length = int((config or {}).get("length", 5))
        self.observation_space = gym.spaces.Box(0.0, 1000.0, (1,), np.float32)
        self.action_space = gym.spaces.Discrete(2)
        self.t = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return self._observation(), {"t": 0}

    def step(self, action: Any) -> Any:
        self.t += 1
        return self._observation(), float(self.t), self.t >= self.length, False, {"t": self.t}

    def _observation(self) -> Any:
        return np.array([self.t], np.float32)


def test_chunks_follow_one_another_and_resets_are_not_steps() -> None:
    runner = SingleAgentEnvRunner(
        config=config_of(Counting, num_envs_per_env_runner=1, environment={"env_config": {"length": 5}})
    )
    chunks = [episode for _ in range(6) for episode in runner.sample(num_timesteps=3)]
    assert sum(map(len, chunks)) == 18
    joined: dict[str, SingleAgentEpisode] = {}
    for chunk in chunks:
        chunk.validate()
        if chunk.id_ in joined:
            before = joined[chunk.id_]
            assert chunk.get_observations(-1, neg_index_as_lookback=True) == before.get_observations(-2)
            assert chunk.get_infos(-1, neg_index_as_lookback=True) == before.get_infos(-2)
            before.concat_episode(chunk)
        else:
            assert chunk.t_started == 0
            joined[chunk.id_] = chunk
    whole = list(joined.values())
    assert [episode.is_terminated for episode in whole] == [True, True, True, False]
    for episode in whole[:3]:
        assert episode.get_observations()[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
        assert episode.get_rewards().tolist() == [1, 2, 3, 4, 5]
        assert [info["t"] for info in episode.get_infos()] == [0, 1, 2, 3, 4, 5]
    found = runner.metrics.compile()
    assert (found["episode_return_mean"], found["episode_len_mean"], found["num_episodes"]) == (15.0, 5.0, 3)
    assert (found["num_env_steps_sampled"], found["agent_episode_returns_mean"]) == (18, {"default_agent": 15.0})


def test_whole_episodes_come_from_a_reset_on() -> None:
    runner = SingleAgentEnvRunner(config=config_of(Counting))
    runner.sample(num_timesteps=3)
    episodes = runner.sample(num_episodes=3)
    assert [(len(episode), episode.is_terminated, episode.t_started) for episode in episodes] == [(5, True, 0)] * 3
    again = runner.sample(num_timesteps=2)
    assert {episode.t_started for episode in again} == {0}
    assert {e.t_started for e in runner.sample(num_timesteps=2, force_reset=True)} == {0}


def test_how_much_is_sampled_follows_the_configuration() -> None:
    config = config_of(Counting, rollout_fragment_length=7)
    assert sum(map(len, SingleAgentEnvRunner(config=config).sample())) in (14, 15)
    config = config_of(Counting, batch_mode="complete_episodes")
    assert [len(episode) for episode in SingleAgentEnvRunner(config=config).sample()] == [5, 5]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"num_timesteps": 1, "num_episodes": 1}, "give one of them"), ({"num_timesteps": 0}, "num_timesteps=0")],
)
def test_arguments_of_sample_are_checked(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SingleAgentEnvRunner(config=config_of(Counting)).sample(**arguments)


def test_actions_are_stretched_for_the_environment_and_kept_as_they_were() -> None:
    seen: list[Any] = []

    class Wide(Counting):
        def __init__(self, config: Any = None) -> None:
            super().__init__(config)
            self.action_space = gym.spaces.Box(np.array([10.0, -2.0], np.float32), np.array([20.0, 2.0], np.float32))

        def step(self, action: Any) -> Any:
            seen.append(action)
            return super().step(action)

    runner = SingleAgentEnvRunner(config=config_of(Wide, num_envs_per_env_runner=1))
    seen.clear()
    episode = runner.sample(num_timesteps=4)[0]
    wide = np.clip(15 + 5 * episode.get_actions()[:, 0], 10, 20)
    np.testing.assert_allclose(np.array(seen)[:, 0], wide, rtol=1e-5)
    assert all(action in runner.env.single_action_space for action in seen)
    seen.clear()
    drawn = runner.sample(num_timesteps=4, random_actions=True, force_reset=True)[0].get_actions()
    assert (np.abs(drawn) <= 1).all()
    np.testing.assert_allclose(np.array(seen)[:, 1], 2 * drawn[:, 1], rtol=1e-5)


def test_without_exploring_actions_are_the_likeliest() -> None:
    runner = SingleAgentEnvRunner(config=config_of())
    for episode in runner.sample(num_timesteps=20, explore=False):
        likeliest = episode.get_extra_model_outputs("action_dist_inputs").argmax(-1)
        assert (episode.get_actions() == likeliest).all()
    for episode in runner.sample(num_timesteps=20):
        inputs = episode.get_extra_model_outputs("action_dist_inputs")
        logp = inputs - np.log(np.exp(inputs).sum(-1, keepdims=True))
        chosen = np.take_along_axis(logp, episode.get_actions()[:, None], -1)[:, 0]
        np.testing.assert_allclose(episode.get_extra_model_outputs("action_logp"), chosen, rtol=1e-4, atol=1e-5)


class Unpicklable(Counting):
    def __reduce__(self) -> Any:
        raise TypeError("not me")


def test_environments_that_cannot_be_saved_start_anew_in_both_runs() -> None:
    runner = SingleAgentEnvRunner(config=config_of(Unpicklable))
    runner.sample(num_timesteps=6)
    other = SingleAgentEnvRunner(config=config_of(Unpicklable))
    other.set_state(runner.get_state())
    first = runner.sample(num_timesteps=20)
    assert {episode.t_started for episode in first} == {0}
    assert_same(first, other.sample(num_timesteps=20))


def test_environments_that_keep_only_their_arguments_start_anew() -> None:
    pytest.importorskip("Box2D")
    runner = SingleAgentEnvRunner(config=config_of("LunarLander-v3"))
    runner.sample(num_timesteps=6)
    assert runner.get_state()["sampler"]["envs"] is None


class Faulty(Counting):
    """Answers with what the configuration says from a certain step on."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__({"length": 8})
        self.fault = (config or {})["fault"]

    def step(self, action: Any) -> Any:
        answer = list(super().step(action))
        if self.t == 4:
            if isinstance(self.fault, Exception):
                raise self.fault
            if self.fault in (None, "four"):
                return None if self.fault is None else tuple(answer[:4])
            place, value = self.fault
            answer[place] = value
        return tuple(answer)


FAULTS: dict[str, tuple[Any, str]] = {
    "raises": (RuntimeError("broken"), r"RuntimeError: broken\. This was step 3 of its episode"),
    "nothing": (None, r"returned None; return five values.* This was step 3 of its episode"),
    "four": ("four", r"returned \(.*\); return five values.* This was step 3 of its episode"),
    "nan reward": ((1, float("nan")), r"step 3 of its episode: the reward is nan"),
    "no reward": ((1, None), r"reward"),
    "shape": ((0, np.zeros(2, np.float32)), r"shape \(2,\)"),
    "dtype": ((0, np.zeros(1, np.float64)), r"float64.*disable_env_checking=True"),
    "nan": ((0, np.array([np.nan], np.float32)), r"step 3 of its episode: observation is .*nan"),
    "text": ((0, "what"), r"what"),
}


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_answers_are_named_while_sampling(fault: str, watched: bool) -> None:
    wrong, text = FAULTS[fault]
    config = config_of(Faulty, watched=watched, environment={"env_config": {"fault": wrong}})
    runner = SingleAgentEnvRunner(config=config)
    with pytest.raises(EnvError, match=text) as caught:
        runner.sample(num_timesteps=20)
    assert "Faulty" in str(caught.value) and "runner 0" in str(caught.value) and "environment 0" in str(caught.value)


def test_an_observation_out_of_bounds_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(Faulty, environment={"env_config": {"fault": (0, np.array([5000.0], np.float32))}})
    runner = SingleAgentEnvRunner(config=config)
    with caplog.at_level(logging.WARNING):
        runner.sample(num_timesteps=40)
        runner.sample(num_timesteps=40)
    said = [record.getMessage() for record in caplog.records if "outside" in record.getMessage()]
    assert len(said) == 1 and "5000" in said[0] and "Faulty" in said[0] and "step 3" in said[0]


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("quietly", [False, True])
def test_an_environment_that_fails_is_made_anew_where_that_is_wanted(
    quietly: bool, watched: bool, caplog: pytest.LogCaptureFixture
) -> None:
    fault: Exception = StepFailedRecreateEnvError("again") if quietly else RuntimeError("broken")
    config = config_of(Faulty, watched=watched, environment={"env_config": {"fault": fault}})
    config.fault_tolerance(restart_failed_sub_environments=not quietly)
    runner = SingleAgentEnvRunner(config=config)
    with caplog.at_level(logging.WARNING):
        episodes = runner.sample(num_timesteps=24)
    # Each episode is cut off after three good steps.
    assert {(len(e), e.is_truncated, e.is_terminated) for e in episodes if e.is_done} == {(3, True, False)}
    for episode in episodes:
        assert episode.get_observations()[:, 0].tolist() == list(range(len(episode) + 1))
    assert bool(caplog.records) is not quietly


def test_processes_of_gymnasium_step_as_well() -> None:
    config = config_of(Counting, gym_env_vectorize_mode="async")
    runner = SingleAgentEnvRunner(config=config)
    try:
        episodes = runner.sample(num_timesteps=20)
        done = [episode for episode in episodes if episode.is_done]
        assert done and all(episode.get_rewards().tolist() == [1, 2, 3, 4, 5] for episode in done)
        assert [info["t"] for info in done[0].get_infos()] == [0, 1, 2, 3, 4, 5]
    finally:
        runner.stop()


def test_the_program_s_own_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    SingleAgentEnvRunner(config=config_of(Counting)).sample(num_timesteps=10)
    assert torch.rand(1) == before


def test_hooks_are_called_in_their_order() -> None:
    calls: list[str] = []

    class Noting(RLlibCallback):
        def on_environment_created(self, *, env_runner: Any, env: Any, env_context: Any, **kwargs: Any) -> None:
            calls.append(f"environment {env_context['length']}")

        def on_episode_created(self, *, episode: Any, env_index: int, **kwargs: Any) -> None:
            calls.append(f"created {episode.is_reset}")

        def on_episode_start(self, *, episode: Any, rl_module: Any, env: Any, **kwargs: Any) -> None:
            calls.append(f"start {len(episode)}")

        def on_episode_step(self, *, episode: Any, **kwargs: Any) -> None:
            calls.append(f"step {len(episode)}")

        def on_episode_end(self, *, episode: Any, prev_episode_chunks: Any, **kwargs: Any) -> None:
            calls.append(f"end {episode.is_done}")

        def on_sample_end(self, *, samples: Any, **kwargs: Any) -> None:
            calls.append(f"sampled {len(samples)}")

    config = config_of(Counting, num_envs_per_env_runner=1, environment={"env_config": {"length": 2}})
    config.callbacks(Noting, on_episode_end=[lambda **kwargs: calls.append("and so")])
    runner = SingleAgentEnvRunner(config=config)
    runner.sample(num_timesteps=3)
    one = ["created False", "start 0", "step 1"]
    assert calls == ["environment 2", *one, "step 2", "end True", "and so", *one, "sampled 2"]


@pytest.mark.parametrize("watched", [False, True])
def test_after_a_fault_sampling_starts_with_a_reset(watched: bool) -> None:
    config = config_of(Faulty, watched=watched, environment={"env_config": {"fault": RuntimeError("broken")}})
    runner = SingleAgentEnvRunner(config=config)
    with pytest.raises(EnvError):
        runner.sample(num_timesteps=20)
    episodes = runner.sample(num_timesteps=4)
    assert [(episode.t_started, episode.get_observations()[:, 0].tolist()) for episode in episodes] == [
        (0, [0, 1, 2])
    ] * 2


def test_a_state_of_connectors_says_nothing_of_weights() -> None:
    normalised = {"env_to_module_connector": lambda env, spaces, device: MeanStdFilter()}
    runner, other = (SingleAgentEnvRunner(config=config_of(**normalised)) for _ in range(2))
    runner.sample(num_timesteps=10)
    runner.set_weights(runner.get_weights(), version=5)
    other.set_weights(other.get_weights(), version=4)
    other.set_state(runner.get_state(components=["env_to_module_connector"]))
    assert other._env_to_module.connectors[0]._all[None].count == runner._env_to_module.connectors[0]._all[None].count
    changed = {"default_policy": {key: value + 1 for key, value in other.get_weights()["default_policy"].items()}}
    other.set_weights(changed, version=5)
    for key, value in other.get_weights()["default_policy"].items():
        np.testing.assert_array_equal(value, changed["default_policy"][key])
    with_weights = runner.get_state(components=["rl_module"])
    other.set_state(with_weights)
    assert other.weights_version == 5 and set(with_weights) == {
        "rl_module",
        "weights_seq_no",
        "num_env_steps_sampled_lifetime",
    }


def test_environments_that_are_one_computation() -> None:
    runners = [
        SingleAgentEnvRunner(config=config_of(gym_env_vectorize_mode="vector_entry_point", num_envs_per_env_runner=4))
        for _ in range(2)
    ]
    first, second = (runner.sample(num_timesteps=300) for runner in runners)
    assert_same(first, second)
    done = [episode for episode in first if episode.is_done]
    assert len(done) > 3 and all(episode.get_return() == len(episode) for episode in done)


class Reusing(Counting):
    """Writes all its observations into one array."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.buffer = np.zeros(1, np.float32)

    def _observation(self) -> Any:
        self.buffer[0] = self.t
        return self.buffer


@pytest.mark.parametrize("watched", [False, True])
def test_an_environment_may_write_into_one_array_again_and_again(watched: bool) -> None:
    episode = SingleAgentEnvRunner(config=config_of(Reusing, watched=watched)).sample(num_episodes=1)[0]
    assert episode.get_observations()[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
