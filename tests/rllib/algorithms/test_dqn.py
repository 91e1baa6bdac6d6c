"""DQN: its losses against ones that are written out, whole runs, and what users change in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib._internal.learning.replay import sample_and_train_rounds
from shoal.rllib.algorithms.dqn import DQN, DQNConfig
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.core.rl_module.torch import TorchRLModule
from shoal.rllib.core.rl_module.torch.default_q_rl_module import DefaultQRLModule
from shoal.rllib.examples.envs.classes.multi_agent import MultiAgentCartPole
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.replay_buffers import EpisodeReplayBuffer


def small(**training: Any) -> DQNConfig:
    config = DQNConfig().environment("CartPole-v1").env_runners(num_env_runners=0, num_envs_per_env_runner=2)
    settings: dict[str, Any] = {
        "train_batch_size": 8,
        "num_steps_sampled_before_learning_starts": 10,
        "target_network_update_freq": 8,
        "replay_buffer_config": {"capacity": 200},
        "epsilon": [[0, 1.0], [30, 0.1]],
        **training,
    }
    config.training(**settings).reporting(min_sample_timesteps_per_iteration=20)
    return config.rl_module(model_config={"fcnet_hiddens": [16]}).debugging(seed=1)


def transitions(rows: int = 6) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return {
        Columns.OBS: normal(rows, 4),
        Columns.NEXT_OBS: normal(rows, 4),
        Columns.ACTIONS: torch.arange(rows) % 2,
        Columns.REWARDS: normal(rows),
        Columns.TERMINATEDS: torch.arange(rows) % 3 == 0,
        "weights": torch.linspace(0.2, 1.0, rows),
        "n_step": (torch.arange(rows) % 3 + 1).float(),
    }


def loss_of(config: DQNConfig, batch: dict[str, Any]) -> tuple[Any, Any, Any]:
    """A learner whose target network is not what it follows, its module, and the loss of a batch."""
    built: Any = config.build_learner(env=gym.make("CartPole-v1"))
    module: Any = built.module["default_policy"]
    with torch.no_grad():
        for parameter in module._target_q_net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    loss = built.compute_loss_for_module(
        module_id="default_policy", config=config, batch=batch, fwd_out=module.forward_train(batch)
    )
    return built, module, loss


@pytest.mark.parametrize("double_q", [False, True])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("loss_fn", ["huber", "mse"])
def test_the_loss_is_that_of_the_definition(double_q: bool, dueling: bool, loss_fn: str) -> None:
    batch = transitions()
    config = small(double_q=double_q, dueling=dueling, gamma=0.9, td_error_loss_fn=loss_fn)
    built, module, loss = loss_of(config, batch)
    expected, errors = 0.0, []
    for row in range(6):
        now, after = batch[Columns.OBS][row : row + 1], batch[Columns.NEXT_OBS][row : row + 1]
        online, target = module.q_net.outputs(after)[0].tolist(), module._target_q_net.outputs(after)[0].tolist()
        best = max((0, 1), key=lambda action: (online if double_q else target)[action])
        goes_on = 0.0 if batch[Columns.TERMINATEDS][row] else 1.0
        wanted = float(batch[Columns.REWARDS][row]) + goes_on * 0.9 ** int(batch["n_step"][row]) * target[best]
        error = abs(module.q_net.outputs(now)[0][batch[Columns.ACTIONS][row]].item() - wanted)
        of_row = error**2 if loss_fn == "mse" else (error**2 / 2 if error < 1 else error - 0.5)
        expected += float(batch["weights"][row]) * of_row / 6
        errors.append(error)
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    assert built.metrics.peek(("default_policy", "td_error")).tolist() == pytest.approx(errors, rel=1e-4, abs=1e-5)


def test_the_heads_of_a_dueling_network_make_up_its_values() -> None:
    _, module, _ = loss_of(small(), transitions())
    obs = transitions()[Columns.OBS]
    features, _ = module.q_net.encoder(obs)
    advantages = module.q_net.advantage(features)
    expected = module.q_net.value(features) + advantages - advantages.mean(-1, keepdim=True)
    torch.testing.assert_close(module.compute_q_values({Columns.OBS: obs})["qf_preds"], expected)


def test_the_distributional_loss_is_that_of_the_definition() -> None:
    batch = transitions()
    config = small(num_atoms=5, v_min=-2.0, v_max=2.0, gamma=0.9)
    _, module, loss = loss_of(config, batch)
    support = [-2.0, -1.0, 0.0, 1.0, 2.0]
    expected = 0.0
    for row in range(6):
        now, after = batch[Columns.OBS][row : row + 1], batch[Columns.NEXT_OBS][row : row + 1]
        means = (torch.softmax(module.q_net.outputs(after)[0], -1) * torch.tensor(support)).sum(-1)
        probs = torch.softmax(module._target_q_net.outputs(after)[0], -1)[int(means.argmax())].tolist()
        discount = 0.0 if batch[Columns.TERMINATEDS][row] else 0.9 ** int(batch["n_step"][row])
        shared = [0.0] * 5
        for point, prob in zip(support, probs, strict=True):
            moved = min(max(float(batch[Columns.REWARDS][row]) + discount * point, -2.0), 2.0)
            for i in range(5):
                shared[i] += prob * max(0.0, 1 - abs(moved - support[i]))
        logp = torch.log_softmax(module.q_net.outputs(now)[0][batch[Columns.ACTIONS][row]], -1).tolist()
        cross_entropy = -sum(p * q for p, q in zip(shared, logp, strict=True))
        expected += float(batch["weights"][row]) * cross_entropy / 6
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_the_target_network_follows_when_it_is_time() -> None:
    built, module, _ = loss_of(small(tau=0.25, target_network_update_freq=100), transitions())
    target, main = module._target_q_net.encoder.layers[0].weight, module.q_net.encoder.layers[0].weight
    before = target.clone()
    built.after_gradient_based_update(timesteps={"num_env_steps_sampled_lifetime": 99})
    assert torch.equal(target, before)
    built.after_gradient_based_update(timesteps={"num_env_steps_sampled_lifetime": 100})
    torch.testing.assert_close(target, 0.25 * main + 0.75 * before)
    now = target.clone()
    built.after_gradient_based_update(timesteps={"num_env_steps_sampled_lifetime": 150})
    assert torch.equal(target, now)
    assert not target.requires_grad


def test_it_explores_by_a_share_of_random_actions_that_follows_its_schedule() -> None:
    module = small(epsilon=[[0, 1.0], [100, 0.0]]).get_rl_module_spec(env=gym.make("CartPole-v1")).build()
    batch, generator = {Columns.OBS: torch.zeros(2000, 4)}, torch.Generator().manual_seed(0)
    best = int(module.forward_inference(batch)[Columns.ACTIONS][0])
    for t, share in ((0, 0.5), (50, 0.75), (100, 1.0)):
        actions = module.forward_exploration(batch, t=t, generator=generator)[Columns.ACTIONS]
        assert float((actions == best).float().mean()) == pytest.approx(share, abs=0.04)


def test_it_explores_by_noise_in_its_weights() -> None:
    module: Any = small(noisy=True).get_rl_module_spec(env=gym.make("CartPole-v1")).build()
    batch, generator = {Columns.OBS: torch.ones(1, 4)}, torch.Generator().manual_seed(0)
    chosen = {int(module.forward_exploration(batch, t=0, generator=generator)[Columns.ACTIONS]) for _ in range(60)}
    assert chosen == {0, 1}
    still = [module.forward_inference(batch)[Columns.ACTION_DIST_INPUTS] for _ in range(2)]
    assert torch.equal(still[0], still[1])
    with small(noisy=True, num_atoms=3).build_algo() as algo:
        before = algo.get_weights()["default_policy"]["q_net.advantage.0.weight_sigma"]
        for _ in range(2):
            algo.train()
        assert not np.array_equal(algo.get_weights()["default_policy"]["q_net.advantage.0.weight_sigma"], before)


def weights_after(algo: DQN, iterations: int) -> dict[str, Any]:
    for _ in range(iterations):
        algo.train()
    weights: dict[str, Any] = algo.get_weights()["default_policy"]
    return weights


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_one_seed_gives_the_same_weights_also_when_resumed(tmp_path: Path) -> None:
    config = small(n_step=3, store_buffer_in_checkpoints=True)
    with config.build_algo() as algo:
        start = algo.get_weights()["default_policy"]
        weights_after(algo, 3)
        path = algo.save_to_path(str(tmp_path / "half-way"))
        whole = weights_after(algo, 3)
    assert not same(start, whole)
    with DQN.from_checkpoint(path) as resumed:
        assert len(resumed.local_replay_buffer) == resumed.env_steps_sampled >= 60
        assert same(weights_after(resumed, 3), whole)
    with config.build_algo() as again:
        assert same(weights_after(again, 6), whole)


def test_a_buffer_that_is_not_stored_begins_empty(tmp_path: Path) -> None:
    with small().build_algo() as algo:
        algo.train()
        path = algo.save_to_path(str(tmp_path))
    with DQN.from_checkpoint(path) as resumed:
        assert len(resumed.local_replay_buffer) == 0
        assert resumed.train()["training_iteration"] == 2


def test_results_have_the_names_that_rllib_gives_them() -> None:
    with small().build_algo() as algo:
        for _ in range(2):
            result = algo.train()
        sampled = algo.env_steps_sampled
    learned = result["learners"]["default_policy"]
    assert {"qf_loss", "qf_mean", "qf_max", "qf_min", "td_error_mean", "total_loss", "curr_lr"} <= set(learned)
    assert "td_error" not in learned
    assert all(np.isfinite(value) for value in learned.values())
    assert result["replay_buffer"]["num_env_steps_added_lifetime"] == sampled >= 40
    assert result["timers"]["replay_buffer_sampling_timer"] > 0


def test_the_runner_acts_by_the_weights_that_were_learned() -> None:
    with small().build_algo() as algo:
        for _ in range(2):
            algo.train()
        learned = algo.get_weights()["default_policy"]
        acted_by = algo.env_runner.module.get_state()
    assert same(acted_by, learned)


@pytest.mark.parametrize(("intensity", "rounds"), [(None, (1, 1)), (4.0, (1, 1)), (16.0, (1, 4)), (1.0, (4, 1))])
def test_training_intensity(intensity: float | None, rounds: tuple[int, int]) -> None:
    assert sample_and_train_rounds(small(training_intensity=intensity)) == rounds


def test_an_iteration_learns_from_as_many_steps_as_it_is_asked_to() -> None:
    config = small().reporting(min_sample_timesteps_per_iteration=0, min_train_timesteps_per_iteration=40)
    with config.build_algo() as algo:
        learned = algo.train()["learners"]["default_policy"]
        assert learned["num_module_steps_trained"] == 40
        assert algo.env_steps_sampled < 25


class Doubled(ConnectorV2):
    def __call__(self, *, rl_module: Any, batch: Any, episodes: Any, **kwargs: Any) -> Any:
        for episode in self.single_agent_episode_iterator(episodes, agents_that_stepped_only=False):
            episode.set_rewards(new_data=np.asarray(episode.get_rewards()) * 2)
        return batch


def test_a_users_connector_sees_transitions_as_episodes() -> None:
    config = small(gamma=0.0, n_step=1).learners(learner_connector=lambda observations, actions: Doubled())
    with config.build_algo() as algo:
        for _ in range(20):
            learned = algo.train()["learners"]["default_policy"]
    assert learned["qf_mean"] > 1.0  # of rewards of 1
    assert np.isfinite(learned["total_loss"])


class Bare(TorchRLModule):
    def setup(self) -> None:
        self.layer = torch.nn.Linear(4, 2)


class Shifted(DefaultQRLModule):
    def compute_q_values(self, batch: dict[str, Any]) -> dict[str, Any]:
        found = super().compute_q_values(batch)
        return {**found, "qf_preds": found["qf_preds"] + 1}


def test_modules_of_users() -> None:
    with pytest.raises(ConfigError, match="TargetNetworkAPI"):
        small().rl_module(rl_module_spec=RLModuleSpec(module_class=Bare)).build_algo()
    with small().rl_module(rl_module_spec=RLModuleSpec(module_class=Shifted)).build_algo() as algo:
        algo.train()
        assert isinstance(algo.get_module(), Shifted)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"n_step": 0}, "n_step"),
        ({"n_step": (3, 2)}, "n_step"),
        ({"training_intensity": 0}, "training_intensity"),
        ({"td_error_loss_fn": "l1"}, "td_error_loss_fn"),
        ({"num_atoms": 3, "v_min": 1.0, "v_max": 1.0}, "v_min"),
        ({"burn_in_len": 2}, "burn_in_len"),
        ({"replay_buffer_config": {"type": "EpisodesReplayBuffer"}}, "EpisodeReplayBuffer"),
        ({"replay_buffer_config": {"type": EpisodeReplayBuffer, "size": 3}}, "size"),
        ({"replay_buffer_config": {"capacity": 0}}, "capacity"),
        ({"replay_buffer_config": {"capcity": 9}}, r"'capcity', which \w+ does not take\. Did you mean 'capacity'"),
        ({"epsilon": 2.0}, "epsilon is 2.0"),
    ],
)
def test_what_cannot_work_is_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        small(**settings).build_algo()


def test_spaces_that_do_not_suit_are_named() -> None:
    with pytest.raises(ConfigError, match="discrete"):
        small().environment("Pendulum-v1").build_algo()
    with pytest.raises(ConfigError, match="FrameStacking"):
        small().rl_module(model_config={"use_lstm": True}).build_algo()


class Walk(gym.Env[Any, int]):
    """Five places in a row; a step to the right of the last brings 1, every step costs a little."""

    def __init__(self, config: Any = None) -> None:
        self.observation_space = gym.spaces.Discrete(5)
        self.action_space = gym.spaces.Discrete(2)

    def reset(self, **kwargs: Any) -> tuple[int, dict[str, Any]]:
        self.place = 0
        self.steps = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.place = max(self.place + (1 if action == 1 else -1), 0)
        self.steps += 1
        there = self.place == 5
        return min(self.place, 4), 1.0 if there else -0.05, there, self.steps >= 40, {}


@pytest.mark.parametrize("distributional", [False, True])
def test_it_learns_to_walk(distributional: bool) -> None:
    settings: dict[str, Any] = {"num_atoms": 21, "v_min": -2.0, "v_max": 1.0} if distributional else {}
    config = small(lr=5e-3, n_step=2, epsilon=[[0, 1.0], [400, 0.1]], train_batch_size=32, **settings)
    config.environment(Walk).training(replay_buffer_config={"capacity": 2000}).evaluation(evaluation_duration=1)
    with config.build_algo() as algo:
        while algo.env_steps_sampled < 1200:
            algo.train()
        assert algo.evaluate()["env_runners"]["episode_len_mean"] == 5.0


def test_runners_as_actors_are_the_same_again(session: None) -> None:
    config = small().env_runners(num_env_runners=2, num_envs_per_env_runner=1, rollout_fragment_length=4)
    found = []
    for _ in range(2):
        with config.build_algo() as algo:
            found.append(weights_after(algo, 4))
            acted_by = algo.runners.foreach_env_runner(lambda runner: runner.get_weights()["default_policy"])
    assert same(found[0], found[1])
    assert all(same(weights, found[1]) for weights in acted_by)


def test_learners_as_actors_share_a_batch_and_its_priorities(session: None) -> None:
    config = small(replay_buffer_config={"capacity": 200, "alpha": 1.0}).learners(num_learners=2)
    with config.build_algo() as algo:
        for _ in range(3):
            result = algo.train()
        priorities = algo.local_replay_buffer.get_state()["priorities"]
    assert np.isfinite(result["learners"]["default_policy"]["td_error_mean"])
    assert len(np.unique(priorities)) > 4  # they were 1 before


@pytest.mark.parametrize("kind", ["EpisodeReplayBuffer", "PrioritizedEpisodeReplayBuffer"])
def test_policies_of_several_agents_have_buffers_of_their_own(kind: str, tmp_path: Path) -> None:
    config = small(replay_buffer_config={"type": kind, "capacity": 200}, store_buffer_in_checkpoints=True)
    config.environment(MultiAgentCartPole, env_config={"num_agents": 2}).env_runners(num_envs_per_env_runner=1)
    config.multi_agent(policies={"p0", "p1"}, policy_mapping_fn=lambda agent_id, episode, **kwargs: f"p{agent_id}")
    with config.build_algo() as algo:
        start = algo.get_weights()
        for _ in range(2):
            algo.train()
        path = algo.save_to_path(str(tmp_path))
        algo.train()
        whole = algo.get_weights()
        assert sorted(algo.local_replay_buffer.get_module_ids()) == ["p0", "p1"]
    assert not same(start["p0"], whole["p0"])
    assert not same(whole["p0"], whole["p1"])
    with DQN.from_checkpoint(path) as resumed:
        resumed.train()
        assert all(same(resumed.get_weights()[module_id], whole[module_id]) for module_id in whole)
