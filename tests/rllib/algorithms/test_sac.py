"""SAC: its losses against ones that are written out, whole runs, and what users change in it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib.algorithms.sac import SAC, SACConfig
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from shoal.rllib.core.rl_module.rl_module import RLModule, RLModuleSpec
from shoal.rllib.core.rl_module.torch.default_sac_rl_module import DefaultSACRLModule
from shoal.rllib.env.multi_agent_env import MultiAgentEnv
from shoal.rllib.utils.error import ConfigError


def small(env: str = "Pendulum-v1", **training: Any) -> SACConfig:
    config = SACConfig().environment(env).env_runners(num_env_runners=0, num_envs_per_env_runner=2)
    settings: dict[str, Any] = {
        "train_batch_size": 8,
        "num_steps_sampled_before_learning_starts": 10,
        "replay_buffer_config": {"capacity": 300},
        **training,
    }
    config.training(**settings).reporting(min_sample_timesteps_per_iteration=20, min_time_s_per_iteration=None)
    return config.rl_module(model_config={"fcnet_hiddens": [16]}).debugging(seed=1)


def transitions(width: int, actions: Any) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    rows = len(actions)
    return {
        Columns.OBS: torch.randn(rows, width, generator=generator),
        Columns.NEXT_OBS: torch.randn(rows, width, generator=generator),
        Columns.ACTIONS: actions,
        Columns.REWARDS: torch.randn(rows, generator=generator),
        Columns.TERMINATEDS: torch.arange(rows) % 3 == 0,
        "weights": torch.linspace(0.2, 1.0, rows),
        "n_step": (torch.arange(rows) % 2 + 1).float(),
    }


def built(config: SACConfig, env: str) -> tuple[Any, Any]:
    learner: Any = config.build_learner(env=gym.make(env))
    module: Any = learner.module["default_policy"]
    with torch.no_grad():
        for parameter in module._target_critics.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        module.log_alpha.fill_(-0.7)
    return learner, module


def test_actions_that_are_a_single_number_are_valued() -> None:
    space = gym.spaces.Box(-1, 1, (), np.float32)
    module = RLModuleSpec(
        DefaultSACRLModule, gym.spaces.Box(-1, 1, (3,)), space, model_config={"fcnet_hiddens": [4]}
    ).build()
    found = module.compute_q_values({"obs": torch.zeros(5, 3), "actions": torch.zeros(5)})
    assert found["qf_preds"].shape == (2, 5)


def loss(learner: Any, module: Any, batch: dict[str, Any]) -> torch.Tensor:
    torch.manual_seed(5)
    found: torch.Tensor = learner.compute_loss_for_module(
        module_id="default_policy", config=learner.config, batch=batch, fwd_out=module.forward_train(batch)
    )
    return found


@pytest.mark.parametrize("twin_q", [False, True])
def test_the_losses_of_continuous_actions_are_those_of_the_definition(twin_q: bool) -> None:
    learner, module = built(small(twin_q=twin_q, gamma=0.9), "Pendulum-v1")
    batch = transitions(3, torch.rand(6, 1) * 2 - 1)
    found = loss(learner, module, batch)
    alpha = math.exp(-0.7)
    torch.manual_seed(5)

    def drawn(obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_std = module.pi(module.pi_encoder(obs)[0]).chunk(2, -1)
        plain = mean + log_std.clamp(-5, 2).exp() * torch.randn(mean.shape)
        normal = torch.distributions.Normal(mean, log_std.clamp(-5, 2).exp())
        logp = normal.log_prob(plain) - torch.log(1 - torch.tanh(plain) ** 2 + 1e-9)
        return torch.tanh(plain), logp.sum(-1)

    after, logp_after = drawn(batch[Columns.NEXT_OBS])
    now, logp_now = drawn(batch[Columns.OBS])
    critic, policy, temperature = 0.0, 0.0, 0.0
    for row in range(6):
        pick = slice(row, row + 1)
        target = min(c(batch[Columns.NEXT_OBS][pick], after[pick]).item() for c in module._target_critics)
        soft = target - alpha * logp_after[row].item()
        goes_on = 0.0 if batch[Columns.TERMINATEDS][row] else 1.0
        wanted = float(batch[Columns.REWARDS][row]) + goes_on * 0.9 ** int(batch["n_step"][row]) * soft
        for c in module.critics:
            value = c(batch[Columns.OBS][pick], batch[Columns.ACTIONS][pick]).item()
            critic += float(batch["weights"][row]) * (value - wanted) ** 2 / 2 / 6
        of_policy = min(c(batch[Columns.OBS][pick], now[pick]).item() for c in module.critics)
        policy += (alpha * logp_now[row].item() - of_policy) / 6
        # The temperature rises where the entropy (here of one draw) is below its target of -1.
        temperature += -0.7 * (-logp_now[row].item() - -1.0) / 6
    assert found.item() == pytest.approx(critic + policy + temperature, rel=1e-3)


def test_the_losses_of_discrete_actions_are_those_of_the_definition() -> None:
    learner, module = built(small("CartPole-v1", gamma=0.9), "CartPole-v1")
    batch = transitions(4, torch.arange(6) % 2)
    found = loss(learner, module, batch)
    alpha, aim = math.exp(-0.7), 0.98 * math.log(2)
    critic, policy, temperature = 0.0, 0.0, 0.0
    for row in range(6):
        now, after = batch[Columns.OBS][row : row + 1], batch[Columns.NEXT_OBS][row : row + 1]
        p_after = torch.softmax(module.pi(module.pi_encoder(after)[0]), -1)[0].tolist()
        p_now = torch.softmax(module.pi(module.pi_encoder(now)[0]), -1)[0].tolist()
        targets = torch.stack([c(after, None)[0] for c in module._target_critics]).amin(0).tolist()
        soft = sum(p * (q - alpha * math.log(p)) for p, q in zip(p_after, targets, strict=True))
        goes_on = 0.0 if batch[Columns.TERMINATEDS][row] else 1.0
        wanted = float(batch[Columns.REWARDS][row]) + goes_on * 0.9 ** int(batch["n_step"][row]) * soft
        for c in module.critics:
            value = c(now, None)[0][batch[Columns.ACTIONS][row]].item()
            critic += float(batch["weights"][row]) * (value - wanted) ** 2 / 2 / 6
        values = torch.stack([c(now, None)[0] for c in module.critics]).amin(0).tolist()
        policy += sum(p * (alpha * math.log(p) - q) for p, q in zip(p_now, values, strict=True)) / 6
        entropy = -sum(p * math.log(p) for p in p_now)
        temperature += -0.7 * (entropy - aim) / 6
    assert found.item() == pytest.approx(critic + policy + temperature, rel=1e-4)


def test_each_loss_moves_its_own_part_alone() -> None:
    learner, module = built(small(), "Pendulum-v1")
    batch = transitions(3, torch.rand(6, 1) * 2 - 1)
    gradients = {}
    for weights in (1.0, 0.0):  # with and without the critics' loss
        learner._logged = {}
        given = {**batch, "weights": torch.full((6,), weights)}
        for parameter in module.parameters():
            parameter.grad = None
        loss(learner, module, given).backward()
        gradients[weights] = {name: parameter.grad for name, parameter in module.named_parameters()}
    for name, gradient in gradients[0.0].items():
        if name.startswith("critics"):
            assert gradient is None or not gradient.any(), name
        elif name.startswith("_target"):
            assert gradient is None
        else:
            assert gradient is not None
            assert torch.equal(gradient, gradients[1.0][name]), name
    assert all(gradients[1.0][name].any() for name in gradients[1.0] if name.startswith("critics"))
    assert all(parameter.requires_grad for parameter in module.critics.parameters())


@pytest.mark.parametrize(("entropy", "rises"), [(50.0, True), (-50.0, False)])
def test_the_temperature_rises_while_the_entropy_is_below_its_target(entropy: float, rises: bool) -> None:
    learner, module = built(small(target_entropy=entropy, alpha_lr=0.1), "Pendulum-v1")
    batch = {"default_policy": transitions(3, torch.rand(6, 1) * 2 - 1)}
    learner.update(batch=batch, timesteps={})
    assert (module.log_alpha.item() > -0.7) == rises
    assert module.log_alpha.item() == pytest.approx(-0.7 + (0.1 if rises else -0.1), abs=1e-4)


def test_targets_of_the_entropy() -> None:
    assert built(small(), "Pendulum-v1")[0].target_entropy("default_policy") == -1.0
    assert built(small("CartPole-v1"), "CartPole-v1")[0].target_entropy("default_policy") == pytest.approx(
        0.98 * math.log(2)
    )
    assert built(small(target_entropy=0.3), "Pendulum-v1")[0].target_entropy("default_policy") == 0.3


def weights_after(algo: SAC, iterations: int) -> dict[str, Any]:
    for _ in range(iterations):
        algo.train()
    weights: dict[str, Any] = algo.get_weights()["default_policy"]
    return weights


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("env", ["Pendulum-v1", "CartPole-v1"])
def test_one_seed_gives_the_same_weights_also_when_resumed(env: str, tmp_path: Path) -> None:
    config = small(env, store_buffer_in_checkpoints=True)
    with config.build_algo() as algo:
        start = algo.get_weights()["default_policy"]
        weights_after(algo, 3)
        path = algo.save_to_path(str(tmp_path / "half-way"))
        whole = weights_after(algo, 3)
    assert not same(start, whole)
    with SAC.from_checkpoint(path) as resumed:
        assert same(weights_after(resumed, 3), whole)
    with config.build_algo() as again:
        assert same(weights_after(again, 6), whole)


class Alternating(MultiAgentEnv):
    """Two agents that act by turns."""

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        self.agents = self.possible_agents = ["a", "b"]
        self.observation_spaces = dict.fromkeys(self.agents, gym.spaces.Box(-1, 1, (2,), np.float32))
        self.action_spaces = dict.fromkeys(self.agents, gym.spaces.Discrete(3))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.turn = 0
        return {"a": np.zeros(2, np.float32)}, {}

    def step(self, action_dict: Any) -> Any:
        self.turn += 1
        over = {"__all__": self.turn == 40}
        return {"ab"[self.turn % 2]: np.zeros(2, np.float32)}, {"a": 1.0, "b": 1.0}, over, {"__all__": False}, {}


class AlwaysTheFirst(RLModule):
    """Learns nothing, and has no networks."""

    def _forward(self, batch: Any, **kwargs: Any) -> Any:
        return {Columns.ACTIONS: np.zeros(len(batch[Columns.OBS]), np.int64)}


def test_it_plays_by_turns_against_a_module_that_is_not_trained() -> None:
    """Random actions that nothing has come of yet, and have no outputs, are followed by the module's, which have."""
    config = small(num_steps_sampled_before_learning_starts=10).environment(Alternating)
    config.env_runners(rollout_fragment_length=5).rl_module(model_config={})
    specs = {"learns": RLModuleSpec(model_config={"fcnet_hiddens": [4]}), "fixed": RLModuleSpec(AlwaysTheFirst)}
    config.rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs=specs))
    config.multi_agent(
        policies={"learns", "fixed"},
        policies_to_train=["learns"],
        policy_mapping_fn=lambda agent, episode, **kwargs: "learns" if agent == "a" else "fixed",
    )
    with config.build_algo() as algo:
        learned = algo.train()["learners"]
    assert np.isfinite(learned["learns"]["total_loss"])
    assert "fixed" not in learned


def test_results_have_the_names_that_rllib_gives_them() -> None:
    with small().build_algo() as algo:
        for _ in range(2):
            result = algo.train()
        action = algo.compute_single_action(np.zeros(3, np.float32), explore=False)
    learned = result["learners"]["default_policy"]
    names = {"policy_loss", "qf_loss", "alpha_loss", "alpha_value", "qf_mean", "td_error_mean", "total_loss", "logps"}
    assert names <= set(learned)
    assert all(np.isfinite(value) for value in learned.values())
    assert -2 <= float(action[0]) <= 2


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"lr": 0.1}, "actor_lr"),
        ({"initial_alpha": 0.0}, "initial_alpha"),
        ({"target_entropy": "automatic"}, "target_entropy"),
    ],
)
def test_what_cannot_work_is_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        small(**settings).build_algo()


def test_settings_that_do_not_suit_are_named() -> None:
    with pytest.raises(ConfigError, match="normalize_actions"):
        small().environment("Pendulum-v1", normalize_actions=False).build_algo()
    with pytest.raises(ConfigError, match="FrameStacking"):
        small().rl_module(model_config={"use_lstm": True}).build_algo()


class Aim(gym.Env[Any, Any]):
    """One step: the nearer an action comes to the observation, the better."""

    def __init__(self, config: Any = None) -> None:
        self.observation_space = gym.spaces.Box(-1, 1, (1,))
        self.action_space = gym.spaces.Box(-3, 3, (1,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.aim = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.aim, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.aim, -float((action[0] - 2 * self.aim[0]) ** 2), True, False, {}


@pytest.mark.slow
def test_it_learns_to_aim() -> None:
    config = small(
        actor_lr=3e-3, critic_lr=1e-2, alpha_lr=3e-2, train_batch_size=64, initial_alpha=0.1, target_entropy=-2.0
    )
    config.environment(Aim).training(replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 3000})
    config.rl_module(model_config={"fcnet_hiddens": [32, 32]}).evaluation(evaluation_duration=50)
    with config.build_algo() as algo:
        while algo.env_steps_sampled < 1600:
            algo.train()
        assert algo.evaluate()["env_runners"]["episode_return_mean"] > -0.1  # at random: about -4.3
