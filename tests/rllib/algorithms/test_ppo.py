"""PPO: its loss against one that is written out, whole runs, and what users change in it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib.algorithms.ppo import PPO, PPOConfig
from shoal.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from shoal.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.core.rl_module.torch import TorchRLModule
from shoal.rllib.core.rl_module.torch.default_actor_critic_rl_module import DefaultActorCriticRLModule
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import ConfigError, NonFiniteLossError


def small(**training: Any) -> PPOConfig:
    config = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0, num_envs_per_env_runner=2)
    config.training(
        **{"train_batch_size_per_learner": 100, "minibatch_size": 50, "num_epochs": 2, "lr": 1e-3, **training}
    )
    return config.rl_module(model_config={"fcnet_hiddens": [16]}).debugging(seed=1)


def one_episode(length: int = 5, terminated: bool = False) -> SingleAgentEpisode:
    generator = np.random.default_rng(0)
    return SingleAgentEpisode(
        observations=generator.normal(size=(length + 1, 4)).astype(np.float32),
        actions=generator.integers(0, 2, length),
        rewards=generator.normal(size=length).astype(np.float32),
        extra_model_outputs={
            Columns.ACTION_LOGP: np.full(length, -0.6, np.float32),
            Columns.ACTION_DIST_INPUTS: generator.normal(size=(length, 2)).astype(np.float32),
        },
        terminated=terminated,
        len_lookback_buffer=0,
    )


def learner(config: PPOConfig) -> Any:
    return config.build_learner(env=gym.make("CartPole-v1"))


@pytest.mark.parametrize("terminated", [False, True])
def test_advantages_are_those_of_the_definition(terminated: bool) -> None:
    built = learner(small(gamma=0.9, lambda_=0.7))
    episode = one_episode(terminated=terminated)
    batch = built.batch_from_episodes([episode])["default_policy"]
    with torch.no_grad():
        values = (
            built.module["default_policy"]
            .compute_values({Columns.OBS: torch.from_numpy(episode.get_observations())})
            .tolist()
        )
    if terminated:
        values[-1] = 0.0
    rewards, after, advantages = episode.get_rewards(), 0.0, []
    for t in reversed(range(5)):
        after = rewards[t] + 0.9 * values[t + 1] - values[t] + 0.9 * 0.7 * after
        advantages.insert(0, after)
    expected = torch.tensor(advantages, dtype=torch.float32)
    torch.testing.assert_close(batch[Columns.VALUE_TARGETS], expected + torch.tensor(values[:5]), rtol=1e-4, atol=1e-5)
    standardised = (expected - expected.mean()) / expected.std(correction=0)
    torch.testing.assert_close(batch[Columns.ADVANTAGES], standardised, rtol=1e-4, atol=1e-4)


def test_the_loss_is_that_of_the_definition() -> None:
    config = small(clip_param=0.2, vf_clip_param=0.5, vf_loss_coeff=0.3, entropy_coeff=0.05, kl_coeff=0.7)
    built = learner(config)
    batch = built.batch_from_episodes([one_episode(20)])["default_policy"]
    module = built.module["default_policy"]
    out = module.forward_train(batch)
    loss = built.compute_loss_for_module(module_id="default_policy", config=config, batch=batch, fwd_out=out)

    new = torch.distributions.Categorical(logits=out[Columns.ACTION_DIST_INPUTS])
    old = torch.distributions.Categorical(logits=batch[Columns.ACTION_DIST_INPUTS])
    ratio = (new.log_prob(batch[Columns.ACTIONS]) - batch[Columns.ACTION_LOGP]).exp()
    advantages = batch[Columns.ADVANTAGES]
    surrogate = torch.min(advantages * ratio, advantages * ratio.clamp(0.8, 1.2)).mean()
    errors = (module.compute_values(batch) - batch[Columns.VALUE_TARGETS]) ** 2
    kl = torch.distributions.kl_divergence(old, new).mean()
    expected = -surrogate + 0.3 * errors.clamp(max=0.5).mean() - 0.05 * new.entropy().mean() + 0.7 * kl
    torch.testing.assert_close(loss, expected)


def test_the_weight_of_the_divergence_follows_its_target() -> None:
    built = learner(small(kl_coeff=0.2, kl_target=0.01))
    for kl, expected in ((0.5, 0.3), (0.01, 0.3), (0.001, 0.15)):
        built._update_module_kl_coeff("default_policy", kl)
        assert built.curr_kl_coeffs_per_module["default_policy"] == pytest.approx(expected)


def test_results_have_the_names_that_rllib_gives_them() -> None:
    with small().build_algo() as algo:
        algo.train()
        result = algo.train()
    assert result["training_iteration"] == 2
    assert 200 <= result["num_env_steps_sampled_lifetime"] <= 204
    assert {"episode_return_mean", "episode_len_mean", "num_env_steps_sampled", "num_episodes"} <= set(
        result["env_runners"]
    )
    learned = result["learners"]["default_policy"]
    names = {
        "total_loss",
        "policy_loss",
        "vf_loss",
        "entropy",
        "mean_kl_loss",
        "curr_lr",
        "curr_kl_coeff",
        "vf_explained_var",
    }
    assert names <= set(learned)
    assert all(np.isfinite(value) for value in learned.values())
    assert learned["num_module_steps_trained"] == 2 * result["env_runners"]["num_env_steps_sampled"]
    assert (
        result["learners"]["__all_modules__"]["num_env_steps_trained_lifetime"]
        == 2 * result["num_env_steps_sampled_lifetime"]
    )
    assert result["timers"]["training_step"] > 0 and result["fault_tolerance"]["num_healthy_workers"] == 0
    assert result["config"]["lr"] == 1e-3


def test_schedules_go_by_the_steps_that_were_sampled() -> None:
    config = small(lr=[[0, 0.01], [200, 0.0]], entropy_coeff=[[0, 1.0], [100, 0.5]])
    with config.build_algo() as algo:
        first = algo.train()["learners"]["default_policy"]
        second = algo.train()["learners"]["default_policy"]
    assert (first["curr_lr"], second["curr_lr"]) == (pytest.approx(0.005, rel=0.05), 0.0)
    assert (first["curr_entropy_coeff"], second["curr_entropy_coeff"]) == (0.5, 0.5)


@pytest.mark.parametrize("by", ["global_norm", "norm", "value"])
def test_gradients_are_clipped(by: str) -> None:
    config = small(grad_clip=1e-3, grad_clip_by=by)
    built = learner(config)
    batch = built.batch_from_episodes([one_episode(20)])
    losses = built.compute_losses(fwd_out=built.module.forward_train(batch), batch=batch)
    gradients = list(built.postprocess_gradients(built.compute_gradients(losses)).values())
    if by == "value":
        assert max(float(gradient.abs().max()) for gradient in gradients) <= 1e-3 + 1e-9
    elif by == "norm":
        assert max(float(gradient.norm()) for gradient in gradients) <= 1e-3 + 1e-6
    else:
        assert float(torch.cat([gradient.flatten() for gradient in gradients]).norm()) == pytest.approx(1e-3, rel=1e-2)


class Small(TorchRLModule):
    """A policy without a value function."""

    def setup(self) -> None:
        self.layer = torch.nn.Linear(4, 2)

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {Columns.ACTION_DIST_INPUTS: self.layer(batch[Columns.OBS])}


def test_a_module_without_what_the_loss_needs_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs ValueFunctionAPI.*compute_values"):
        small().rl_module(rl_module_spec=RLModuleSpec(module_class=Small)).build_algo()


class WithFactor(DefaultActorCriticRLModule):
    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Any:
        return super().compute_values(batch, embeddings) * float("nan")


def test_a_loss_that_is_no_number_ends_training_with_its_parts() -> None:
    with (
        small().rl_module(rl_module_spec=RLModuleSpec(module_class=WithFactor)).build_algo() as algo,
        pytest.raises(NonFiniteLossError, match=r"loss of module 'default_policy' is nan.*policy_loss"),
    ):
        algo.train()


class Regularised(PPOTorchLearner):
    def compute_loss_for_module(self, **arguments: Any) -> Any:
        loss = super().compute_loss_for_module(**arguments)
        squares = sum(parameter.square().sum() for parameter in self.module[arguments["module_id"]].parameters())
        self.log_losses(arguments["module_id"], {"squares": squares})
        return loss + self.config.learner_config_dict["factor"] * squares


def test_a_users_learner_changes_the_loss() -> None:
    config = small().learners(learner_class=Regularised, learner_config_dict={"factor": 0.1})
    with config.build_algo() as algo, small().build_algo() as plain:
        learned = algo.train()["learners"]["default_policy"]
        plain.train()
        ours, theirs = algo.get_weights()["default_policy"], plain.get_weights()["default_policy"]
    assert learned["squares"] > 0
    assert not np.array_equal(ours["pi.0.weight"], theirs["pi.0.weight"])


class TakesObservationsApart(DefaultPPOTorchRLModule):
    """Goes by the parts in which compute_values leaves its batch, as modules do that keep actions to a mask."""

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Any:
        if "sign" not in batch:
            batch["sign"] = batch[Columns.OBS][:, :1].sign()
        return super().compute_values(batch, embeddings)

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        assert torch.equal(batch["sign"], batch[Columns.OBS][:, :1].sign())
        return super()._forward_train(batch, **kwargs)


def test_a_module_is_trained_on_the_parts_that_its_value_function_made() -> None:
    with small().rl_module(rl_module_spec=RLModuleSpec(module_class=TakesObservationsApart)).build_algo() as algo:
        assert "total_loss" in algo.train()["learners"]["default_policy"]


class HalvedRewards(ConnectorV2):
    def __call__(self, *, rl_module: Any, batch: Any, episodes: Any, **kwargs: Any) -> Any:
        for episode in self.single_agent_episode_iterator(episodes, agents_that_stepped_only=False):
            self.add_n_batch_items(batch, "halves", [0.5] * len(episode), len(episode), episode)
            episode.set_rewards(new_data=np.asarray(episode.get_rewards()) * 0.5)
        return batch


class SeesHalves(PPOTorchLearner):
    def compute_loss_for_module(self, *, batch: Any, **arguments: Any) -> Any:
        assert bool((batch["halves"] == 0.5).all()) and bool((batch[Columns.REWARDS] == 0.5).all())
        self.log_losses(arguments["module_id"], {"rows": batch["halves"].numel()})
        return super().compute_loss_for_module(batch=batch, **arguments)


def test_a_users_connector_changes_episodes_and_adds_columns() -> None:
    config = small().learners(learner_class=SeesHalves, learner_connector=lambda observations, actions: HalvedRewards())
    with config.build_algo() as algo:
        assert algo.train()["learners"]["default_policy"]["rows"] == 50


def test_an_iteration_is_as_long_as_it_is_asked_to_be() -> None:
    with small().reporting(min_sample_timesteps_per_iteration=250).build_algo() as algo:
        result = algo.train()
    assert result["num_training_step_calls_per_iteration"] == 3
    assert 300 <= result["num_env_steps_sampled_lifetime"] <= 306


def test_callbacks_are_told() -> None:
    told: list[str] = []
    config = small().callbacks(
        on_algorithm_init=lambda *, algorithm, **_: told.append(f"init {type(algorithm).__name__}"),
        on_train_result=[lambda *, result, **_: result.update(mine=result["training_iteration"])],
    )
    with config.build_algo() as algo:
        assert algo.train()["mine"] == 1
    assert told == ["init PPO"]


def test_evaluation_has_episodes_of_its_own() -> None:
    config = small().evaluation(
        evaluation_interval=2, evaluation_duration=3, evaluation_config=PPOConfig.overrides(explore=False)
    )
    with config.build_algo() as algo:
        assert "evaluation" not in algo.train()
        evaluated = algo.train()["evaluation"]["env_runners"]
        assert evaluated["num_episodes"] == 3
        again = algo.evaluate()["env_runners"]
        assert again["num_episodes"] == 3 and again["episode_return_mean"] > 0


def test_a_custom_evaluation_is_called_instead() -> None:
    def evaluate(algorithm: Any, group: Any) -> Any:
        return {"sampled": sum(len(episode) for episode in group.local_env_runner.sample(num_episodes=1)) > 0}, 0, 0

    with small().evaluation(evaluation_interval=1, custom_evaluation_function=evaluate).build_algo() as algo:
        assert algo.train()["evaluation"] == {"sampled": True}


def test_actions_can_be_asked_for() -> None:
    with small().build_algo() as algo:
        action = algo.compute_single_action(np.zeros(4, np.float32), explore=False)
        assert action in (0, 1)
        many = algo.compute_actions({"a": np.zeros(4, np.float32), "b": np.ones(4, np.float32)}, explore=True)
        assert set(many) == {"a", "b"}
        with pytest.raises(ConfigError, match="no module 'other'"):
            algo.get_module("other")


@pytest.mark.parametrize(
    ("env", "model_config"),
    [
        ("Pendulum-v1", {"fcnet_hiddens": [16], "free_log_std": True}),
        ("CartPole-v1", {"fcnet_hiddens": [16], "use_lstm": True, "lstm_cell_size": 8, "max_seq_len": 7}),
    ],
)
def test_it_trains_with_boxes_and_with_memories(env: str, model_config: dict[str, Any]) -> None:
    with small().environment(env).rl_module(model_config=model_config).build_algo() as algo:
        before = algo.get_weights()["default_policy"]
        result = algo.train()
        after = algo.get_weights()["default_policy"]
    assert np.isfinite(result["learners"]["default_policy"]["total_loss"])
    assert all(not np.array_equal(before[name], after[name]) for name in before if "weight" in name)


class Bright(gym.Env[Any, Any]):
    """Which half of the picture is bright is what to do."""

    observation_space = gym.spaces.Box(0, 255, (10, 10, 1), np.uint8)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, config: Any = None) -> None:
        self._steps = 0

    def _look(self) -> Any:
        self._right = int(self.np_random.integers(2))
        picture = np.zeros((10, 10, 1), np.uint8)
        picture[:, self._right * 5 : self._right * 5 + 5] = 255
        return picture

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._steps = 0
        return self._look(), {}

    def step(self, action: Any) -> Any:
        reward = float(action == self._right)
        self._steps += 1
        return self._look(), reward, False, self._steps >= 10, {}


def test_it_learns_what_pictures_say() -> None:
    config = small(train_batch_size_per_learner=400, num_epochs=4, minibatch_size=100, lr=3e-3)
    config.environment(Bright).rl_module(model_config={"fcnet_hiddens": [16], "conv_filters": [[4, 4, 2, 0]]})
    with config.build_algo() as algo:
        returns = [algo.train()["env_runners"]["episode_return_mean"] for _ in range(6)]
        evaluated = algo.evaluate()["env_runners"]["episode_return_mean"]
    assert returns[0] < 7 and evaluated > 9


def test_the_class_builds_of_a_dict_too() -> None:
    algo = PPO(
        config={"env": "CartPole-v1", "num_workers": 0, "train_batch_size": 100, "minibatch_size": 50, "num_epochs": 1}
    )
    try:
        assert algo.train()["num_env_steps_sampled_lifetime"] in (100, 101)
    finally:
        algo.stop()
        algo.stop()
