"""IQL: its losses against ones that are written out, whole runs, the same again and resumed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib.algorithms.iql import IQL, IQLConfig
from shoal.rllib.core.columns import Columns
from shoal.rllib.utils.error import ConfigError, UnsupportedSpaceException


def recorded(env: str = "Pendulum-v1", count: int = 60) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    discrete = env == "CartPole-v1"
    return {
        "obs": generator.uniform(-1, 1, (count, 4 if discrete else 3)).astype(np.float32),
        "new_obs": generator.uniform(-1, 1, (count, 4 if discrete else 3)).astype(np.float32),
        "actions": generator.integers(2, size=count) if discrete else generator.uniform(-2, 2, (count, 1)),
        "rewards": generator.normal(size=count).astype(np.float32),
        "terminateds": np.arange(count) % 5 == 4,
    }


def configured(env: str = "Pendulum-v1", input_: Any = None, **training: Any) -> IQLConfig:
    config = IQLConfig().environment(env).debugging(seed=1)
    config.offline_data(input_=recorded(env) if input_ is None else input_)
    config.training(**{"train_batch_size_per_learner": 20, **training})
    return config.rl_module(model_config={"fcnet_hiddens": [16]})


@pytest.mark.parametrize("twin_q", [True, False])
@pytest.mark.parametrize("env", ["Pendulum-v1", "CartPole-v1"])
def test_the_losses_are_those_of_the_definition(env: str, twin_q: bool) -> None:
    config = configured(env, gamma=0.9, expectile=0.7, beta=2.0, twin_q=twin_q)
    learner: Any = config.build_learner(env=gym.make(env))
    module: Any = learner.module["default_policy"]
    assert len(module.critics) == (2 if twin_q else 1)
    discrete = env == "CartPole-v1"
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module._target_critics.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    width = 4 if discrete else 3
    batch: dict[str, Any] = {
        Columns.OBS: torch.randn(6, width, generator=generator),
        Columns.NEXT_OBS: torch.randn(6, width, generator=generator),
        Columns.ACTIONS: torch.arange(6) % 2 if discrete else torch.rand(6, 1, generator=generator) * 2 - 1,
        Columns.REWARDS: torch.randn(6, generator=generator),
        Columns.TERMINATEDS: torch.arange(6) % 3 == 0,
        "n_step": torch.ones(6),
    }
    found = learner.compute_loss_for_module(
        module_id="default_policy", config=learner.config, batch=batch, fwd_out=module.forward_train(batch)
    )

    def worth(critic: Any, row: int) -> float:
        obs, action = batch[Columns.OBS][row : row + 1], batch[Columns.ACTIONS][row : row + 1]
        value = critic(obs, None)[0][int(action)] if discrete else critic(obs, action)
        return float(value.detach())

    value_loss, critic_loss, policy_loss = 0.0, 0.0, 0.0
    values = module.compute_values({Columns.OBS: batch[Columns.OBS]}).tolist()
    after = module.compute_values({Columns.OBS: batch[Columns.NEXT_OBS]}).tolist()
    logits = module.pi(module.encoder(batch[Columns.OBS])[0])
    for row in range(6):
        above = min(worth(target, row) for target in module._target_critics) - values[row]
        value_loss += (0.7 if above > 0 else 0.3) * above**2 / 6
        goes_on = 0.0 if batch[Columns.TERMINATEDS][row] else 1.0
        wanted = float(batch[Columns.REWARDS][row]) + goes_on * 0.9 * after[row]
        critic_loss += sum((worth(critic, row) - wanted) ** 2 for critic in module.critics) / 6
        if discrete:
            logp = torch.log_softmax(logits[row], -1)[int(batch[Columns.ACTIONS][row])].item()
        else:
            mean, log_std = logits[row].tolist()
            apart = (float(batch[Columns.ACTIONS][row]) - mean) / math.exp(log_std)
            logp = -0.5 * apart**2 - log_std - 0.5 * math.log(2 * math.pi)
        policy_loss += -min(math.exp(2.0 * above), 100.0) * logp / 6
    logged = {name: float(value.detach()) for name, value in learner._logged["default_policy"].items()}
    assert logged["value_loss"] == pytest.approx(value_loss, rel=1e-4)
    assert logged["qf_loss"] == pytest.approx(critic_loss, rel=1e-4)
    assert found.item() == pytest.approx(value_loss + critic_loss + policy_loss, rel=1e-4)


def test_each_loss_moves_its_own_networks() -> None:
    learner: Any = configured().build_learner(env=gym.make("Pendulum-v1"))
    names = {name: len(learner._optimizer_params["default_policy", name]) for name in ("qf", "value", "policy")}
    module: Any = learner.module["default_policy"]
    assert sum(names.values()) == sum(1 for parameter in module.parameters() if parameter.requires_grad)
    assert names["qf"] == len(list(module.critics.parameters()))
    assert names["value"] == len([*module.vf.parameters(), *module.critic_encoder.parameters()])


def test_good_actions_are_learned_from_random_ones() -> None:
    """Recorded are random actions; the one that is rewarded is learned."""
    rows = recorded("CartPole-v1", 200)
    rows["rewards"] = rows["actions"].astype(np.float32)
    rows["terminateds"] = np.ones(200, bool)
    config = configured("CartPole-v1", rows, beta=5.0, train_batch_size_per_learner=100, tau=0.5)
    config.training(actor_lr=1e-2, critic_lr=1e-2, value_lr=1e-2)
    with config.build_algo() as algo:
        for _ in range(60):
            algo.train()
        chosen = algo.compute_actions(dict(enumerate(rows["obs"])), explore=False)
    assert np.mean(list(chosen.values())) > 0.9


def weights(algo: Any) -> dict[str, Any]:
    found: dict[str, Any] = algo.get_weights()["default_policy"]
    return found


def test_it_is_the_same_again_and_resumed(tmp_path: Path) -> None:
    def config() -> IQLConfig:
        return configured(tau=0.1, target_network_update_freq=40, minibatch_size=10)

    runs = []
    for _ in range(2):
        with config().build_algo() as algo:
            for _ in range(4):
                algo.train()
            runs.append(weights(algo))
    with config().build_algo() as algo:
        for _ in range(2):
            algo.train()
        path = algo.save_to_path(tmp_path / "half")
    with IQL.from_checkpoint(path) as resumed:
        for _ in range(2):
            resumed.train()
        runs.append(weights(resumed))
    for name, value in runs[0].items():
        assert np.array_equal(value, runs[1][name]) and np.array_equal(value, runs[2][name]), name
    assert any(name.startswith("_target_critics") for name in runs[0])


def test_it_is_evaluated_on_an_environment() -> None:
    config = configured().evaluation(evaluation_interval=1, evaluation_duration=1)
    with config.build_algo() as algo:
        result = algo.train()
    assert -2000 < result["evaluation"]["env_runners"]["episode_return_mean"] < 0
    assert {"value_loss", "qf_loss", "policy_loss"} <= set(result["learners"]["default_policy"])


@pytest.mark.parametrize(
    ("training", "says"),
    [
        ({"expectile": 1.0}, "expectile is 1.0"),
        ({"beta": 0.0}, "beta is 0.0"),
        ({"lr": 1e-3}, "lr is 0.001"),
    ],
)
def test_what_cannot_be_is_refused(training: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        configured(**training).build_algo()


def test_actions_of_several_parts_are_refused() -> None:
    rows = {**recorded(), "actions": np.zeros((60, 2), np.int64)}
    config = configured(input_=rows).environment(action_space=gym.spaces.MultiDiscrete([2, 2]))
    with pytest.raises(UnsupportedSpaceException, match="IQL's default module takes Box and Discrete"):
        config.build_algo()
