"""CQL: its losses against ones that are written out, whole runs, the same again and resumed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib.algorithms.cql import CQL, CQLConfig
from shoal.rllib.core.columns import Columns
from shoal.rllib.utils.error import ConfigError


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


def configured(env: str = "Pendulum-v1", **training: Any) -> CQLConfig:
    config = CQLConfig().environment(env).debugging(seed=1).offline_data(input_=recorded(env))
    config.training(**{"train_batch_size_per_learner": 20, "num_actions": 3, **training})
    return config.rl_module(model_config={"fcnet_hiddens": [16]})


def built(config: CQLConfig, env: str) -> tuple[Any, Any]:
    learner: Any = config.build_learner(env=gym.make(env))
    module: Any = learner.module["default_policy"]
    with torch.no_grad():
        for parameter in module._target_critics.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        module.log_alpha.fill_(-0.7)
    return learner, module


def transitions(width: int, actions: Any) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    rows = len(actions)
    return {
        Columns.OBS: torch.randn(rows, width, generator=generator),
        Columns.NEXT_OBS: torch.randn(rows, width, generator=generator),
        Columns.ACTIONS: actions,
        Columns.REWARDS: torch.randn(rows, generator=generator),
        Columns.TERMINATEDS: torch.arange(rows) % 3 == 0,
        "n_step": (torch.arange(rows) % 2 + 1).float(),
    }


def losses(learner: Any, module: Any, batch: dict[str, Any]) -> tuple[float, dict[str, float]]:
    torch.manual_seed(5)
    found = learner.compute_loss_for_module(
        module_id="default_policy", config=learner.config, batch=batch, fwd_out=module.forward_train(batch)
    )
    return found.item(), {name: float(value.detach()) for name, value in learner._logged["default_policy"].items()}


ALPHA = math.exp(-0.7)


@pytest.mark.parametrize("imitating", [True, False])
@pytest.mark.parametrize("deterministic_backup", [True, False])
@pytest.mark.parametrize("lagrangian", [True, False])
def test_the_losses_of_continuous_actions_are_those_of_the_definition(
    imitating: bool, deterministic_backup: bool, lagrangian: bool
) -> None:
    config = configured(
        gamma=0.9,
        bc_iters=10 if imitating else 0,
        deterministic_backup=deterministic_backup,
        lagrangian=lagrangian,
        lagrangian_thresh=0.5,
        temperature=0.8,
        min_q_weight=2.0,
    )
    learner, module = built(config, "Pendulum-v1")
    batch = transitions(3, torch.rand(6, 1) * 1.8 - 0.9)
    found, logged = losses(learner, module, batch)

    torch.manual_seed(5)
    normals: dict[str, Any] = {}
    for name, column in (("now", Columns.OBS), ("after", Columns.NEXT_OBS)):
        mean, log_std = module.pi(module.pi_encoder(batch[column])[0]).chunk(2, -1)
        normals[name] = torch.distributions.Normal(mean, log_std.clamp(-5, 2).exp())

    def drawn(name: str, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
        normal = normals[name]
        plain = normal.loc + normal.scale * torch.randn(*shape, *normal.loc.shape)
        squashed = torch.tanh(plain)
        return squashed, (normal.log_prob(plain) - torch.log(1 - squashed**2 + 1e-9)).sum(-1)

    # In the order in which the loss draws them.
    after, logp_after = drawn("after")
    evenly = torch.rand(3, 6, 1) * 2 - 1
    now_draws, logp_now_draws = drawn("now", 3)
    after_draws, logp_after_draws = drawn("after", 3)
    now, logp_now = drawn("now")

    critic, conservative, policy, temperature, gaps = 0.0, 0.0, 0.0, 0.0, []
    for c in module.critics:
        gap = 0.0
        for row in range(6):
            pick = slice(row, row + 1)
            obs = batch[Columns.OBS][pick]
            value = c(obs, batch[Columns.ACTIONS][pick]).item()
            soft = min(t(batch[Columns.NEXT_OBS][pick], after[pick]).item() for t in module._target_critics)
            if not deterministic_backup:
                soft -= ALPHA * logp_after[row].item()
            goes_on = 0.0 if batch[Columns.TERMINATEDS][row] else 1.0
            wanted = float(batch[Columns.REWARDS][row]) + goes_on * 0.9 ** int(batch["n_step"][row]) * soft
            critic += (value - wanted) ** 2 / 6
            exponents = []
            for k in range(3):
                exponents.append((c(obs, evenly[k][pick]).item() - math.log(0.5)) / 0.8)
                exponents.append((c(obs, now_draws[k][pick]).item() - logp_now_draws[k][row].item()) / 0.8)
                exponents.append((c(obs, after_draws[k][pick]).item() - logp_after_draws[k][row].item()) / 0.8)
            gap += (0.8 * math.log(sum(map(math.exp, exponents))) - value) / 6
        gaps.append(2.0 * gap)
    surplus = [gap - 0.5 for gap in gaps] if lagrangian else gaps
    conservative = sum(surplus)
    of_weight = -0.5 * sum(surplus) if lagrangian else 0.0
    for row in range(6):
        pick = slice(row, row + 1)
        if imitating:
            recorded_at = torch.atanh(batch[Columns.ACTIONS][pick])
            mean, std = normals["now"].loc[row], normals["now"].scale[row]
            of_one: Any = torch.distributions.Normal(mean, std)
            logp = of_one.log_prob(recorded_at[0]) - torch.log(1 - batch[Columns.ACTIONS][row] ** 2)
            policy += (ALPHA * logp_now[row].item() - logp.item()) / 6
        else:
            worth = min(c(batch[Columns.OBS][pick], now[pick]).item() for c in module.critics)
            policy += (ALPHA * logp_now[row].item() - worth) / 6
        temperature += -0.7 * (-logp_now[row].item() - -1.0) / 6
    assert logged["qf_loss"] == pytest.approx(critic, rel=1e-3)
    assert logged["cql_loss"] == pytest.approx(conservative, rel=1e-3)
    assert logged["policy_loss"] == pytest.approx(policy, rel=1e-3, abs=1e-4)
    assert found == pytest.approx(critic + conservative + of_weight + policy + temperature, rel=1e-3)


@pytest.mark.parametrize("imitating", [True, False])
def test_the_losses_of_discrete_actions_are_those_of_the_definition(imitating: bool) -> None:
    config = configured("CartPole-v1", gamma=0.9, bc_iters=10 if imitating else 0, min_q_weight=2.0, temperature=0.8)
    learner, module = built(config, "CartPole-v1")
    batch = transitions(4, torch.arange(6) % 2)
    found, logged = losses(learner, module, batch)
    critic, conservative, policy, temperature = 0.0, 0.0, 0.0, 0.0
    for row in range(6):
        now, after = batch[Columns.OBS][row : row + 1], batch[Columns.NEXT_OBS][row : row + 1]
        action = int(batch[Columns.ACTIONS][row])
        p_after = torch.softmax(module.pi(module.pi_encoder(after)[0]), -1)[0].tolist()
        p_now = torch.softmax(module.pi(module.pi_encoder(now)[0]), -1)[0].tolist()
        targets = torch.stack([c(after, None)[0] for c in module._target_critics]).amin(0).tolist()
        soft = sum(p * q for p, q in zip(p_after, targets, strict=True))
        goes_on = 0.0 if batch[Columns.TERMINATEDS][row] else 1.0
        wanted = float(batch[Columns.REWARDS][row]) + goes_on * 0.9 ** int(batch["n_step"][row]) * soft
        for c in module.critics:
            values = c(now, None)[0].tolist()
            critic += (values[action] - wanted) ** 2 / 6
            soft_max = 0.8 * math.log(sum(math.exp(q / 0.8) for q in values))
            conservative += 2.0 * (soft_max - values[action]) / 6
        entropy = -sum(p * math.log(p) for p in p_now)
        worth = torch.stack([c(now, None)[0] for c in module.critics]).amin(0).tolist()
        if imitating:
            policy += -(ALPHA * entropy + math.log(p_now[action])) / 6
        else:
            policy += -(sum(p * q for p, q in zip(p_now, worth, strict=True)) + ALPHA * entropy) / 6
        temperature += -0.7 * (entropy - 0.98 * math.log(2)) / 6
    assert logged["cql_loss"] == pytest.approx(conservative, rel=1e-4)
    assert found == pytest.approx(critic + conservative + policy + temperature, rel=1e-4)


def test_untried_actions_are_held_down() -> None:
    """Recorded is one action alone; the values of others end below it, though critics start anyhow."""
    rows = recorded()
    rows["actions"] = np.full((60, 1), 1.0)
    config = configured(bc_iters=0, critic_lr=1e-2, min_q_weight=10.0).offline_data(input_=rows)
    with config.build_algo() as algo:
        for _ in range(40):
            algo.train()
        module: Any = algo.get_module()
        obs = torch.from_numpy(rows["obs"])
        with torch.no_grad():
            taken, other = (
                module.compute_q_values({"obs": obs, "actions": torch.full((60, 1), action)})["qf_preds"].mean().item()
                for action in (0.5, -0.9)
            )
    assert taken > other + 1


def weights(algo: Any) -> dict[str, Any]:
    found: dict[str, Any] = algo.get_weights()["default_policy"]
    return found


def test_it_is_the_same_again_and_resumed(tmp_path: Path) -> None:
    def config() -> CQLConfig:
        return configured(bc_iters=6, lagrangian=True, n_step=2, tau=0.1)

    runs = []
    for _ in range(2):
        with config().build_algo() as algo:
            for _ in range(4):
                algo.train()
            runs.append((weights(algo), algo.get_state()["learner_group"]["learner"]["algorithm"]))
    with config().build_algo() as algo:
        for _ in range(2):
            algo.train()
        path = algo.save_to_path(tmp_path / "half")
    with CQL.from_checkpoint(path) as resumed:
        for _ in range(2):
            resumed.train()
        runs.append((weights(resumed), resumed.get_state()["learner_group"]["learner"]["algorithm"]))
    for name, value in runs[0][0].items():
        assert np.array_equal(value, runs[1][0][name]) and np.array_equal(value, runs[2][0][name]), name
    assert runs[0][1] == runs[1][1] == runs[2][1]
    assert runs[0][1]["updates"] == {"default_policy": 12} and runs[0][1]["log_weights"]["default_policy"] != 0


def test_it_is_evaluated_on_an_environment() -> None:
    config = configured(bc_iters=0).evaluation(evaluation_interval=1, evaluation_duration=1)
    with config.build_algo() as algo:
        result = algo.train()
    assert -2000 < result["evaluation"]["env_runners"]["episode_return_mean"] < 0
    learned = result["learners"]["default_policy"]
    assert {"cql_loss", "qf_loss", "policy_loss", "alpha_value", "td_error_mean"} <= set(learned)
    assert result["learners"]["__all_modules__"]["num_env_steps_trained"] == 60


@pytest.mark.parametrize(
    ("training", "says"),
    [
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"num_actions": 0}, "num_actions is 0"),
        ({"bc_iters": -1}, "bc_iters is -1"),
        ({"n_step": (1, 3)}, r"n_step is \(1, 3\)"),
        ({"lr": 1e-3}, "lr is 0.001"),
    ],
)
def test_what_cannot_be_is_refused(training: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        configured(**training).build_algo()
