"""Sampling with several agents: who acts by which module, and that it goes on from a state."""

from __future__ import annotations

import logging
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.callbacks.callbacks import RLlibCallback
from shoal.rllib.connectors.env_to_module.flatten_observations import FlattenObservations
from shoal.rllib.connectors.env_to_module.mean_std_filter import MeanStdFilter
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.env.multi_agent_env import MultiAgentEnv
from shoal.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from shoal.rllib.env.vector.vector_multi_agent_env import VectorMultiAgentEnv
from shoal.rllib.examples.envs.classes.multi_agent import MultiAgentCartPole, RockPaperScissors, TwoStepGame
from shoal.rllib.utils.error import ConfigError, EnvError, MultiAgentEnvError


def config_of(env: Any, mapping: Any, policies: Any, *, environment: Any = None, **settings: Any) -> Any:
    config = PPOConfig().environment(env, **(environment or {}))
    config = config.env_runners(**{"num_env_runners": 0, "num_envs_per_env_runner": 2, **settings})
    config = config.multi_agent(policies=policies, policy_mapping_fn=mapping)
    return config.debugging(seed=1).rl_module(model_config={"fcnet_hiddens": [8]})


def poles(agents: int = 2, **settings: Any) -> Any:
    environment = {"env_config": {"num_agents": agents}}
    return config_of(
        MultiAgentCartPole,
        lambda agent, episode, **kw: f"p{agent}",
        {f"p{i}" for i in range(agents)},
        environment=environment,
        **settings,
    )


def test_agents_act_by_their_modules_and_wait_for_one_another() -> None:
    runner = MultiAgentEnvRunner(config=poles())
    assert set(runner.get_spaces()) == {"__env__", "__env_single__", "p0", "p1"}
    episodes = runner.sample(num_timesteps=150)
    assert sum(map(len, episodes)) in (150, 151)
    for episode in episodes:
        episode.validate()
        for agent, single in episode.agent_episodes.items():
            assert (single.module_id, single.is_numpy) == (f"p{agent}", True)
            assert single.get_return() == len(single)  # a pole brings 1 a step
            logits = single.get_extra_model_outputs("action_dist_inputs")
            logp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
            chosen = np.take_along_axis(logp, single.get_actions()[:, None], -1)[:, 0]
            np.testing.assert_allclose(single.get_extra_model_outputs("action_logp"), chosen, rtol=1e-4, atol=1e-5)
    done = [episode for episode in episodes if episode.is_done]
    assert all(single.is_done for episode in done for single in episode.agent_episodes.values())
    found = runner.metrics.compile()
    assert found["num_env_steps_sampled"] == sum(map(len, episodes))
    assert sum(found["num_module_steps_sampled"].values()) == sum(episode.agent_steps() for episode in episodes)
    assert found["episode_return_mean"] == pytest.approx(sum(found["agent_episode_returns_mean"].values()))


def test_it_goes_on_from_a_state() -> None:
    runner = MultiAgentEnvRunner(config=poles())
    runner.sample(num_timesteps=40)
    other = MultiAgentEnvRunner(config=poles())
    other.set_state(runner.get_state())
    for mine, theirs in zip(runner.sample(num_timesteps=60), other.sample(num_timesteps=60), strict=True):
        assert (mine.id_, mine.env_t_started) == (theirs.id_, theirs.env_t_started)
        for agent, single in mine.agent_episodes.items():
            np.testing.assert_array_equal(single.get_observations(), theirs.agent_episodes[agent].get_observations())
            np.testing.assert_array_equal(single.get_actions(), theirs.agent_episodes[agent].get_actions())


def test_one_module_for_all_and_observations_flattened() -> None:
    flatten = {"env_to_module_connector": lambda env, spaces, device: FlattenObservations(multi_agent=True)}
    runner = MultiAgentEnvRunner(config=config_of(RockPaperScissors, lambda *a, **kw: "shared", {"shared"}, **flatten))
    episode = runner.sample(num_episodes=1)[0]
    assert (len(episode), episode.get_return()) == (10, 0.0)
    assert episode.agent_episodes["player1"].get_observations().shape == (11, 4)
    assert runner.get_spaces()["shared"][0].shape == (4,)


def test_each_agent_s_observations_have_a_mean_of_their_own() -> None:
    normalise = {"env_to_module_connector": lambda env, spaces, device: MeanStdFilter(multi_agent=True)}
    runner = MultiAgentEnvRunner(config=poles(**normalise))
    runner.sample(num_timesteps=30)
    moments = runner._env_to_module.connectors[0]._all
    assert set(moments) == {0, 1} and not np.array_equal(moments[0].mean, moments[1].mean)


class Turns(MultiAgentEnv):
    """a and b act in turns; both are paid at the end."""

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        self.possible_agents = self.agents = ["a", "b"]
        self.observation_spaces = {agent: gym.spaces.Box(0.0, 9.0, (1,), np.float32) for agent in self.agents}
        self.action_spaces = {
            "a": gym.spaces.Box(5.0, 7.0, (1,), np.float32),
            "b": gym.spaces.Discrete(3),
        }
        self.t = 0
        self.fault = (config or {}).get("fault")

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t = 0
        return self._seen(), {}

    def step(self, action_dict: Any) -> Any:
        expected = "ab"[self.t % 2]
        assert list(action_dict) == [expected] and self.action_spaces[expected].contains(action_dict[expected])  # type: ignore[index]
        self.t += 1
        if self.fault and self.t == 4:
            raise RuntimeError("broken")
        over = self.t >= 6
        rewards = {"a": 1.0, "b": 2.0} if over else {}
        return ({} if over else self._seen()), rewards, {"__all__": over}, {"__all__": False}, {}

    def _seen(self) -> Any:
        return {"ab"[self.t % 2]: np.array([self.t], np.float32)}


def test_agents_that_act_in_turns_with_different_spaces() -> None:
    config = config_of(Turns, lambda agent, episode, **kw: agent, {"a", "b"})
    runner = MultiAgentEnvRunner(config=config)
    for episode in runner.sample(num_episodes=3):
        a, b = episode.agent_episodes["a"], episode.agent_episodes["b"]
        assert (a.get_rewards().tolist(), b.get_rewards().tolist()) == ([0, 0, 1], [0, 0, 2])
        assert a.get_observations()[:, 0].tolist() == [0, 2, 4, 4] and b.get_observations()[:, 0].tolist() == [
            1,
            3,
            5,
            5,
        ]
        assert a.is_terminated and b.is_terminated
    drawn = runner.sample(num_timesteps=5, random_actions=True)[0].agent_episodes["a"].get_actions()
    assert (np.abs(drawn) <= 1).all()
    counted = config_of(Turns, lambda agent, episode, **kw: agent, {"a", "b"}, num_envs_per_env_runner=1)
    counted.multi_agent(count_steps_by="agent_steps")
    assert sum(map(len, MultiAgentEnvRunner(config=counted).sample(num_timesteps=5))) == 5


def test_faults_name_environment_and_step_or_are_survived() -> None:
    environment = {"env_config": {"fault": True}}
    config = config_of(Turns, lambda agent, episode, **kw: agent, {"a", "b"}, environment=environment)
    with pytest.raises(
        MultiAgentEnvError, match=r"Turns.*environment 0.*raised RuntimeError at step 3 of its episode: broken"
    ):
        MultiAgentEnvRunner(config=config).sample(num_timesteps=20)
    config.fault_tolerance(restart_failed_sub_environments=True)
    episodes = MultiAgentEnvRunner(config=config).sample(num_timesteps=20)
    assert {(len(episode), episode.is_truncated) for episode in episodes if episode.is_done} == {(3, True)}


def test_modules_come_and_go() -> None:
    config = config_of(TwoStepGame, lambda agent, episode, **kw: "one", {"one"}, env_to_module_connector=_flat)
    runner = MultiAgentEnvRunner(config=config)
    runner.sample(num_timesteps=3)
    observations, actions = runner.get_spaces()["one"]
    spec = RLModuleSpec(
        module_class=type(runner.module["one"]),
        observation_space=observations,
        action_space=actions,
        model_config={"fcnet_hiddens": [4]},
    )
    runner.add_module("two", spec, lambda agent, episode, **kw: "one" if agent == "agent_1" else "two")
    episode = runner.sample(num_episodes=1)[0]
    assert {agent: single.module_id for agent, single in episode.agent_episodes.items()} == {
        "agent_1": "one",
        "agent_2": "two",
    }
    idle = MultiAgentEnvRunner(config=config, num_workers=1, spaces=runner.get_spaces())  # others have environments
    idle.add_module("two", spec, lambda agent, episode, **kw: "two")
    idle.remove_module("one")
    assert list(idle.module) == ["two"]
    runner.remove_module("two", lambda agent, episode, **kw: "one")
    assert {single.module_id for single in runner.sample(num_episodes=1)[0].agent_episodes.values()} == {"one"}


def _flat(env: Any, spaces: Any, device: Any) -> Any:
    return FlattenObservations(multi_agent=True)


def test_hooks_see_multi_agent_episodes() -> None:
    seen: list[Any] = []

    class Noting(RLlibCallback):
        def on_episode_end(self, *, episode: Any, prev_episode_chunks: Any, **kwargs: Any) -> None:
            seen.append((episode.env_t, sorted(episode.agent_ids)))

    config = config_of(Turns, lambda agent, episode, **kw: agent, {"a", "b"}, num_envs_per_env_runner=1).callbacks(
        Noting
    )
    MultiAgentEnvRunner(config=config).sample(num_timesteps=7)
    assert seen == [(6, ["a", "b"])]


def test_hooks_find_the_copies_of_an_environment_as_they_do_in_gymnasium_s_vectors() -> None:
    seen: list[Any] = []
    config = poles(num_envs_per_env_runner=2).callbacks(
        on_episode_step=lambda *, env, **kw: seen.append((env, env.unwrapped.envs[1].possible_agents))
    )
    MultiAgentEnvRunner(config=config).sample(num_timesteps=2)
    assert isinstance(seen[0][0], VectorMultiAgentEnv)
    assert seen[0][1] == [0, 1]


def test_an_environment_of_one_agent_is_refused() -> None:
    config = config_of("CartPole-v1", lambda agent, episode, **kw: "p", {"p"})
    with pytest.raises(MultiAgentEnvError, match="no MultiAgentEnv"):
        MultiAgentEnvRunner(config=config)


@pytest.mark.parametrize("checked", [True, False])
def test_one_of_several_agents_needs_several_policies_said(checked: bool) -> None:
    config = PPOConfig().environment(RockPaperScissors, disable_env_checking=not checked)
    with pytest.raises(EnvError, match=r"has several agents.*multi_agent\(policies="):
        SingleAgentEnvRunner(config=config.env_runners(num_env_runners=0))


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        (lambda agent, episode, **kw: "q", r"maps agent 'player1' to 'q', which is none of policies: \['p'\]"),
        (
            lambda agent, episode, **kw: {}[agent],
            r"raised KeyError for agent 'player1'.*policy_mapping_fn\(agent_id, episode\)",
        ),
        (lambda agent: "p", r"raised TypeError for agent 'player1': .*takes 1 positional argument"),
    ],
)
def test_mappings_that_cannot_be_are_refused(mapping: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        MultiAgentEnvRunner(config=config_of(RockPaperScissors, mapping, {"p"}))


class Unseen(MultiAgentEnv):
    """Observes its agent at the beginning, and then not for some steps."""

    possible_agents = agents = ["a"]  # noqa: RUF012 - as users write it
    observation_spaces = {"a": gym.spaces.Box(-1, 1, (1,), np.float32)}  # noqa: RUF012
    action_spaces = {"a": gym.spaces.Discrete(2)}  # noqa: RUF012

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.steps, self.now = config["steps"], 0

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        self.now = 0
        return {"a": np.zeros(1, np.float32)}, {}

    def step(self, action_dict: Any) -> Any:
        self.now += 1
        over = self.now > self.steps
        observations = {"a": np.zeros(1, np.float32)} if over else {}
        return observations, {"a": 1.0} if over else {}, {"__all__": over}, {}, {}


@pytest.mark.parametrize(("steps", "warns"), [(999, 0), (1500, 1)])
def test_a_warning_says_that_no_agent_is_observed_any_more(
    steps: int, warns: int, caplog: pytest.LogCaptureFixture
) -> None:
    environment = {"env_config": {"steps": steps}}
    one = config_of(Unseen, lambda *a, **kw: "p", {"p"}, environment=environment, num_envs_per_env_runner=1)
    with caplog.at_level(logging.WARNING):
        (done,) = MultiAgentEnvRunner(config=one).sample(num_episodes=1)
    assert (len(done), done.get_return()) == (steps + 1, 1.0)
    assert caplog.text.count("step 999 of its episode: no agent was observed in the last 1000 steps") == warns


class Named(Unseen):
    """Says who its agents are, each time in another way."""

    possible_agents = agents = None  # type: ignore[assignment]

    def __init__(self, config: Any) -> None:
        if config["way"] == "ids":
            self._agent_ids = {"a"}
        if config["way"] == "before":
            self.agents = ["a"]
        super().__init__({"steps": 0})
        if config["way"] == "after":
            self.agents = ["a"]
        if config["way"] == "ids after":
            self._agent_ids.add("a")


@pytest.mark.parametrize("way", ["ids", "before", "after", "ids after", "spaces"])
def test_agents_are_those_that_an_environment_names_in_whichever_way(way: str) -> None:
    config = config_of(Named, lambda *a, **kw: "p", {"p"}, environment={"env_config": {"way": way}})
    runner = MultiAgentEnvRunner(config=config)
    assert [env.possible_agents for env in runner.env.envs] == [["a"], ["a"]]
    assert len(runner.sample(num_episodes=1)[0]) == 1
