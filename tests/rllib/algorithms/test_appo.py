"""APPO: its loss against one that is written out, its target, its buffer, and runs with and without actors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib._internal.learning.batch_queue import BatchQueue, CircularBuffer
from shoal.rllib.algorithms.appo import APPO, APPOConfig
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.core.rl_module.torch.default_actor_critic_rl_module import DefaultActorCriticRLModule
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import ConfigError


def small(runners: int = 0, **training: Any) -> APPOConfig:
    config = APPOConfig().environment("CartPole-v1")
    config.env_runners(num_env_runners=runners, num_envs_per_env_runner=2, rollout_fragment_length=10)
    config.training(**{"train_batch_size_per_learner": 60, "lr": 1e-3, **training})
    config.reporting(min_sample_timesteps_per_iteration=100)
    return config.rl_module(model_config={"fcnet_hiddens": [16]}).debugging(seed=1)


def episode(length: int, *, terminated: bool, box: bool = False) -> SingleAgentEpisode:
    chance = np.random.default_rng(length)
    actions = chance.uniform(-1, 1, (length, 1)).astype(np.float32) if box else chance.integers(0, 2, length)
    return SingleAgentEpisode(
        observations=chance.normal(size=(length + 1, 3 if box else 4)).astype(np.float32),
        actions=actions,
        rewards=chance.normal(size=length).astype(np.float32),
        extra_model_outputs={Columns.ACTION_LOGP: chance.normal(-0.7, 0.5, length).astype(np.float32)},
        terminated=terminated,
        len_lookback_buffer=0,
    )


def learner(config: APPOConfig) -> Any:
    """A learner whose target is not what it follows."""
    built: Any = config.build_learner(env=gym.make(config.env))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, target in built.module["default_policy"].get_target_network_pairs():
            for parameter in target.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return built


def test_the_loss_is_that_of_the_definition() -> None:
    config = small(
        gamma=0.9,
        lambda_=0.8,
        clip_param=0.1,
        target_worker_clipping=1.2,
        use_kl_loss=True,
        kl_coeff=0.7,
        vf_loss_coeff=0.3,
        entropy_coeff=0.05,
    )
    built = learner(config)
    module = built.module["default_policy"]
    batch = built.batch_from_episodes([episode(9, terminated=True), episode(6, terminated=False)])["default_policy"]
    out = module.forward_train(batch)
    loss = built.compute_loss_for_module(module_id="default_policy", config=config, batch=batch, fwd_out=out)

    new = torch.distributions.Categorical(logits=out[Columns.ACTION_DIST_INPUTS])
    features = module._target_encoder(batch[Columns.OBS])[0]
    old = torch.distributions.Categorical(logits=module._target_pi(features))
    logp, old_logp = new.log_prob(batch[Columns.ACTIONS]), old.log_prob(batch[Columns.ACTIONS])
    behaviour = batch[Columns.ACTION_LOGP]
    values = module.compute_values(batch)
    after = module.compute_values({Columns.OBS: batch[Columns.NEXT_OBS]})
    weights = (old_logp - behaviour).exp().tolist()
    rewards, now, following = batch[Columns.REWARDS].tolist(), values.tolist(), after.tolist()
    targets, advantages, above, next_target = [0.0] * 15, [0.0] * 15, 0.0, 0.0
    for t in reversed(range(15)):
        if t in (8, 14):
            above, next_target = 0.0, 0.0 if t == 8 else following[t]
        next_value = 0.0 if t == 8 else following[t]
        delta = min(weights[t], 1.0) * (rewards[t] + 0.9 * next_value - now[t])
        above = delta + 0.9 * 0.8 * min(weights[t], 1.0) * above
        advantages[t] = min(weights[t], 1.0) * (rewards[t] + 0.9 * next_target - now[t])
        targets[t] = next_target = now[t] + above
    ratio = (behaviour - old_logp).exp().clamp(max=1.2) * (logp - behaviour).exp()
    gains = torch.tensor(advantages)
    surrogate = torch.min(gains * ratio, gains * ratio.clamp(0.9, 1.1)).mean()
    kl = torch.distributions.kl_divergence(old, new).mean()
    squares = (values - torch.tensor(targets)).square().mean()
    expected = -surrogate + 0.3 * 0.5 * squares - 0.05 * new.entropy().mean() + 0.7 * kl
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    loss.backward()
    for _, target in module.get_target_network_pairs():
        assert all(parameter.grad is None for parameter in target.parameters())


def test_the_target_is_the_actors_alone_and_follows_in_time() -> None:
    config = small(tau=0.25, target_network_update_freq=0.5, circular_buffer_num_batches=2, use_kl_loss=True)
    built = learner(config.environment("Pendulum-v1").rl_module(model_config={"free_log_std": True}))
    module = built.module["default_policy"]
    assert config.steps_between_target_updates == 0.5 * 2 * 2 * 60
    before = {name: value.clone() for name, value in module.state_dict().items() if name.startswith("_target")}
    assert {"_target_log_std", "_target_pi.0.weight"} <= set(before) and not any("vf" in name for name in before)
    episodes = [episode(60, terminated=False, box=True)]
    built.update(episodes=episodes)
    assert all(torch.equal(module.state_dict()[name], value) for name, value in before.items())
    built.update(episodes=episodes)
    for name, value in before.items():
        main = module.state_dict()[name.removeprefix("_target_")]
        torch.testing.assert_close(module.state_dict()[name], 0.25 * main + 0.75 * value)
    assert built.metrics.peek(("default_policy", "num_target_updates")) == 1
    assert built.metrics.peek(("default_policy", "last_target_update_ts")) == 120
    assert built.curr_kl_coeffs_per_module["default_policy"] != 1.0


def test_runners_have_no_target() -> None:
    with small().build_algo() as algo:
        names = algo.env_runner.module.get_state()
        learned = algo.get_weights()["default_policy"]
    assert any(name.startswith("_target") for name in learned)
    assert not any(name.startswith(("_target", "vf")) for name in names)


def test_batches_are_used_several_times() -> None:
    with small().build_algo() as algo:
        assert isinstance(algo.waiting, CircularBuffer)
        result = algo.train()
    learned = result["learners"]["default_policy"]
    names = {"total_loss", "policy_loss", "vf_loss", "entropy", "curr_lr", "mean_IS", "var_IS"}
    assert names <= set(learned) and all(np.isfinite(value) for value in learned.values())
    assert learned["num_module_steps_trained"] > result["num_env_steps_sampled_lifetime"]
    with small(use_circular_buffer=False, simple_queue_size=5).build_algo() as algo:
        assert type(algo.waiting) is BatchQueue and algo.waiting.size == 5
        result = algo.train()
    assert result["learners"]["default_policy"]["num_module_steps_trained"] == result["num_env_steps_sampled_lifetime"]


def weights_after(algo: Any, steps: int) -> dict[str, Any]:
    for _ in range(steps):
        algo.training_step()
    weights: dict[str, Any] = algo.get_weights()["default_policy"]
    return weights


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return list(one) == list(other) and all(np.array_equal(one[name], other[name]) for name in one)


def test_one_seed_gives_the_same_weights_also_when_resumed(tmp_path: Path) -> None:
    config = small(use_kl_loss=True, circular_buffer_iterations_per_batch=3, target_network_update_freq=0.1)
    with config.build_algo() as algo:
        weights_after(algo, 5)
        assert len(algo.waiting) == 1  # a batch that has been used in part
        path = algo.save_to_path(str(tmp_path / "half-way"))
        whole = weights_after(algo, 7)
    with APPO.from_checkpoint(path) as resumed:
        assert same(weights_after(resumed, 7), whole)
    with config.build_algo() as again:
        assert same(weights_after(again, 12), whole)


def test_runners_sample_while_it_learns(session: None, tmp_path: Path) -> None:
    with small(runners=2).build_algo() as algo:
        start = algo.get_weights()["default_policy"]
        for _ in range(3):
            result = algo.train()
        assert np.isfinite(result["learners"]["default_policy"]["total_loss"])
        path = algo.save_to_path(str(tmp_path))
        learned = algo.get_weights()["default_policy"]
    assert not same(start, learned)
    with APPO.from_checkpoint(path) as resumed:
        assert same(resumed.get_weights()["default_policy"], learned)
        resumed.train()


def test_it_learns_with_a_memory() -> None:
    config = small().rl_module(
        model_config={"fcnet_hiddens": [16], "use_lstm": True, "lstm_cell_size": 4, "max_seq_len": 7}
    )
    with config.build_algo() as algo:
        result = algo.train()
    assert np.isfinite(result["learners"]["default_policy"]["total_loss"])


class Bright(gym.Env[Any, Any]):
    """Which of two numbers is the larger is what to do."""

    observation_space = gym.spaces.Box(0, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, config: Any = None) -> None:
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._steps = 0
        self._seen = self.np_random.random(2, np.float32)
        return self._seen, {}

    def step(self, action: Any) -> Any:
        reward = float(action == self._seen.argmax())
        self._steps += 1
        self._seen = self.np_random.random(2, np.float32)
        return self._seen, reward, False, self._steps >= 10, {}


def test_it_learns_which_is_larger() -> None:
    config = small(lr=1e-2, train_batch_size_per_learner=100, gamma=0.0, target_network_update_freq=0.1)
    config.environment(Bright).evaluation(evaluation_config={"explore": False})
    with config.build_algo() as algo:
        first = algo.train()["env_runners"]["episode_return_mean"]
        for _ in range(40):
            algo.train()
        returned = algo.evaluate()["env_runners"]["episode_return_mean"]
    assert first < 8 < 9 < returned


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"lambda_": 1.5}, "lambda_"),
        ({"circular_buffer_num_batches": 0}, "circular_buffer_num_batches"),
        ({"circular_buffer_iterations_per_batch": 0}, "circular_buffer_iterations_per_batch"),
        ({"target_network_update_freq": -1}, "target_network_update_freq"),
        ({"tau": 2.0}, "tau"),
    ],
)
def test_what_cannot_work_is_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        small(**settings)


def test_a_module_without_a_target_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs TargetNetworkAPI"):
        small().rl_module(rl_module_spec=RLModuleSpec(module_class=DefaultActorCriticRLModule)).build_algo()


def test_pieces_see_a_batch_as_it_was_sampled_whenever_it_is_used() -> None:
    seen: list[float] = []

    def ten_more(*, batch: Any, episodes: Any, **_: Any) -> Any:
        for one in episodes:
            seen.extend(one.get_rewards())
            one.set_rewards(new_data=one.get_rewards() + 10.0, at_indices=slice(None))
        return batch

    config = small(circular_buffer_num_batches=1, circular_buffer_iterations_per_batch=2)
    with config.learners(learner_connector=lambda observations, actions: ten_more).build_algo() as algo:
        algo.train()
    assert len(seen) > 120 and set(seen) == {1.0}
