"""What `config.environment(...)` says besides the environment: rewards, masks of actions, what is shown, who is asked about it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from shoal.rllib.algorithms.dqn import DQNConfig
from shoal.rllib.algorithms.ppo import PPO, PPOConfig
from shoal.rllib.algorithms.sac import SACConfig
from shoal.rllib.env.env_context import EnvContext
from shoal.rllib.env.multi_agent_env import MultiAgentEnv
from shoal.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from shoal.rllib.utils.error import ConfigError, EnvError, UnsupportedSpaceException


class Paying(gym.Env[Any, Any]):
    """Pays -3, 0.5 and 2, and ends."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)
    drawn: list[int] = []  # noqa: RUF012 - by all of them

    def __init__(self, config: Any = None) -> None:
        self.render_mode = dict(config or {}).get("render_mode")
        self.vector_index = getattr(config, "vector_index", 0)
        self.t = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        reward = [-3.0, 0.5, 2.0][self.t]
        self.t += 1
        return np.zeros(2, np.float32), reward, self.t == 3, False, {}

    def render(self) -> Any:
        Paying.drawn.append(self.vector_index)


def runner_of(config: Any, cls: type[SingleAgentEnvRunner] = SingleAgentEnvRunner) -> SingleAgentEnvRunner:
    config = config.rl_module(model_config={"fcnet_hiddens": [4]}).debugging(seed=3)
    return cls(config=config.env_runners(num_env_runners=0))


@pytest.mark.parametrize(
    ("given", "learned"),
    [
        (None, [-3.0, 0.5, 2.0]),
        (False, [-3.0, 0.5, 2.0]),
        (True, [-1.0, 1.0, 1.0]),
        (1.5, [-1.5, 0.5, 1.5]),
        ((-0.5, 5.0), [-0.5, 0.5, 2.0]),
    ],
)
@pytest.mark.parametrize("live", [False, True])
def test_rewards_are_learned_from_within_bounds_and_reported_as_they_are(given: Any, learned: Any, live: bool) -> None:
    config = PPOConfig().environment(Paying, clip_rewards=given)
    if live:
        config.callbacks(on_episode_step=lambda **_: None)
    runner = runner_of(config)
    (episode,) = runner.sample(num_episodes=1)
    assert episode.get_rewards().tolist() == learned
    assert runner.get_metrics()["episode_return_mean"].peek() == pytest.approx(-0.5)


def test_rewards_of_atari_games_are_signs_unless_something_else_is_said() -> None:
    (episode,) = runner_of(PPOConfig().environment(Paying, is_atari=True)).sample(num_episodes=1)
    assert episode.get_rewards().tolist() == [-1.0, 1.0, 1.0]
    config = PPOConfig().environment(Paying, is_atari=True, clip_rewards=False)
    (episode,) = runner_of(config).sample(num_episodes=1)
    assert episode.get_rewards().tolist() == [-3.0, 0.5, 2.0]
    for wrong in (-1.0, "sign", (1.0, -1.0)):
        with pytest.raises(ConfigError, match="clip_rewards is"):
            PPOConfig().environment(clip_rewards=wrong)  # type: ignore[arg-type]


def test_the_first_environment_is_shown_as_it_steps() -> None:
    config = PPOConfig().environment(Paying, render_env=True).env_runners(num_envs_per_env_runner=2)
    runner = runner_of(config)
    Paying.drawn.clear()
    runner.sample(num_timesteps=4)
    assert Paying.drawn == [0, 0, 0]  # a reset and two steps
    Paying.drawn.clear()
    itself = PPOConfig().environment(Paying, render_env=True, env_config={"render_mode": "human"})
    runner_of(itself).sample(num_timesteps=4)
    assert Paying.drawn == []
    with pytest.raises(EnvError, match="RecordVideo"):
        runner_of(PPOConfig().environment(Paying, render_env=True, env_config={"render_mode": "rgb_array"}))
    with pytest.raises(ConfigError, match="leave it 'sync'"):
        PPOConfig().environment(Paying, render_env=True).env_runners(gym_env_vectorize_mode="async").validate()


def test_gymnasiums_own_environments_are_made_to_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(gym, "make", lambda env_id, **given: made.append(given) or Paying({"render_mode": "human"}))
    runner_of(PPOConfig().environment("CartPole-v1", render_env=True, disable_env_checking=True))
    assert made == [{"render_mode": "human"}]


class Masked(gym.Env[Any, Any]):
    """Allows one of four actions at a time, and takes no other."""

    observation_space = gym.spaces.Dict(
        {"observations": gym.spaces.Box(-1.0, 1.0, (2,), np.float32), "allowed": gym.spaces.MultiBinary(4)}
    )
    action_space = gym.spaces.Discrete(4)

    def __init__(self, config: Any = None) -> None:
        self.t = 0

    def _seen(self) -> Any:
        mask = np.zeros(4, np.int8)
        mask[self.t % 3] = self.t < 6
        return {"observations": np.zeros(2, np.float32), "allowed": mask}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t = 0
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        assert action == self.t % 3, f"{action} is not allowed at step {self.t}"
        self.t += 1
        return self._seen(), 1.0, self.t == 6, False, {}


class TwoMasked(MultiAgentEnv):
    """Two agents, each with the mask above."""

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        self.possible_agents = self.agents = ["a", "b"]
        self.observation_spaces = dict.fromkeys(self.agents, Masked.observation_space)
        self.action_spaces = dict.fromkeys(self.agents, Masked.action_space)
        self.inner = {agent: Masked() for agent in self.agents}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return {agent: env.reset()[0] for agent, env in self.inner.items()}, {}

    def step(self, action_dict: Any) -> Any:
        answers = {agent: self.inner[agent].step(action) for agent, action in action_dict.items()}
        over = {"__all__": next(iter(answers.values()))[2]}
        observations = {agent: answer[0] for agent, answer in answers.items()}
        return observations, {agent: answer[1] for agent, answer in answers.items()}, over, {"__all__": False}, {}


@pytest.mark.parametrize("config_class", [PPOConfig, DQNConfig])
@pytest.mark.parametrize("arguments", [{}, {"explore": False}, {"random_actions": True}])
@pytest.mark.parametrize("live", [False, True])
def test_modules_and_chance_keep_to_the_mask(config_class: Any, arguments: Any, live: bool) -> None:
    config = config_class().environment(Masked, action_mask_key="allowed")
    if live:
        config.callbacks(on_episode_step=lambda **_: None)
    episodes = runner_of(config).sample(num_episodes=2, **arguments)
    assert [episode.get_return() for episode in episodes] == [6.0, 6.0]


@pytest.mark.parametrize("arguments", [{}, {"random_actions": True}])
def test_each_of_several_agents_keeps_to_its_mask(arguments: Any) -> None:
    config = PPOConfig().environment(TwoMasked, action_mask_key="allowed")
    config.multi_agent(policies={"p"}, policy_mapping_fn=lambda *_, **__: "p")
    (episode,) = runner_of(config, MultiAgentEnvRunner).sample(num_episodes=1, **arguments)
    assert episode.get_return() == 12.0


def test_a_mask_is_learned_with_and_who_cannot_says_so() -> None:
    config = PPOConfig().environment(Masked, action_mask_key="allowed").rl_module(model_config={"fcnet_hiddens": [4]})
    config.training(train_batch_size_per_learner=24, minibatch_size=12, num_epochs=1).env_runners(num_env_runners=0)
    with config.build_algo() as algo:
        learned = algo.train()["learners"]["default_policy"]
    assert np.isfinite(learned["total_loss"]) and learned["entropy"] == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(UnsupportedSpaceException, match="use PPO or DQN"):
        SACConfig().environment(Masked, action_mask_key="allowed").env_runners(num_env_runners=0).build_algo()


@pytest.mark.parametrize(
    "given",
    [{"observation_space": gym.spaces.Box(-2.0, 2.0, (2,), np.float32)}, {"action_space": gym.spaces.Discrete(3)}],
)
def test_spaces_are_the_environments_own(given: Any) -> None:
    own = {"observation_space": Paying.observation_space, "action_space": Paying.action_space}
    runner_of(PPOConfig().environment(Paying, **own)).stop()
    with pytest.raises(ConfigError, match=f"{next(iter(given))} is .*, and env 'Paying' has .*wrapper"):
        runner_of(PPOConfig().environment(Paying, **given))


def test_an_algorithm_is_asked_about_each_environment() -> None:
    asked = []

    class Choosy(PPO):
        @classmethod
        def validate_env(cls, env: Any, env_context: EnvContext) -> None:
            asked.append((type(env), env_context.vector_index))
            if env_context.get("too_large"):
                raise ValueError("it is too large")

    config = PPOConfig(algo_class=Choosy).environment(Paying, disable_env_checking=True)
    runner_of(config.env_runners(num_envs_per_env_runner=2))
    assert asked == [(Paying, 0), (Paying, 1)]
    with pytest.raises(ValueError, match="too large"):
        runner_of(config.environment(env_config={"too_large": True}))
