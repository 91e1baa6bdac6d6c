"""MARWIL: its loss against one that is written out, whole runs, the same again and resumed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib.algorithms.marwil import MARWIL, MARWILConfig
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import ConfigError


def episodes(lengths: tuple[int, ...] = (7, 12, 5), width: int = 4, box: bool = False) -> list[SingleAgentEpisode]:
    """Every other one ends by itself."""
    generator = np.random.default_rng(0)
    made = []
    for number, length in enumerate(lengths):
        actions = (
            generator.uniform(-1, 1, (length, 1)).astype(np.float32) if box else generator.integers(2, size=length)
        )
        made.append(
            SingleAgentEpisode(
                f"e{number}",
                observations=generator.normal(size=(length + 1, width)).astype(np.float32),
                actions=actions,
                rewards=generator.normal(size=length).astype(np.float32),
                terminated=number % 2 == 0,
                truncated=number % 2 == 1,
                len_lookback_buffer=0,
            )
        )
    return made


def configured(input_: Any = None, env: str = "CartPole-v1", **training: Any) -> MARWILConfig:
    config = MARWILConfig().environment(env).debugging(seed=2)
    config.offline_data(input_=episodes() if input_ is None else input_)
    config.training(**{"train_batch_size_per_learner": 10, "lr": 1e-3, **training})
    return config.rl_module(model_config={"fcnet_hiddens": [16]})


@pytest.mark.parametrize(("env", "width", "box"), [("CartPole-v1", 4, False), ("Pendulum-v1", 3, True)])
@pytest.mark.parametrize("lambda_", [1.0, 0.5])
def test_the_loss_is_that_of_the_definition(env: str, width: int, box: bool, lambda_: float) -> None:
    settings: dict[str, Any] = {"beta": 0.7, "gamma": 0.9, "lambda_": lambda_, "vf_coeff": 0.3}
    settings.update(moving_average_sqd_adv_norm_start=4.0, moving_average_sqd_adv_norm_update_rate=0.1)
    settings.update(bc_logstd_coeff=0.2 if box else 0.0)
    given = episodes(width=width, box=box)
    learner: Any = configured(given, env, **settings).build_learner(env=gym.make(env))
    module: Any = learner.module["default_policy"]
    batch = learner.batch_from_episodes(given)["default_policy"]
    found = learner.compute_loss_for_module(
        module_id="default_policy", config=learner.config, batch=batch, fwd_out=module.forward_train(batch)
    )
    rows: list[tuple[float, float]] = []  # advantage, log-probability
    for episode in given:
        observations = torch.from_numpy(episode.get_observations())
        values = module.compute_values({"obs": observations}).tolist()
        logits = module.forward_train({"obs": observations})["action_dist_inputs"]
        if episode.is_terminated:
            values[-1] = 0.0
        advantage = 0.0
        mine = []
        for t in reversed(range(len(episode))):
            delta = float(episode.get_rewards(t)) + 0.9 * values[t + 1] - values[t]
            advantage = delta + 0.9 * lambda_ * advantage
            action = episode.get_actions(t)
            if box:
                mean, log_std = logits[t].tolist()
                logp = (
                    -0.5 * ((float(action[0]) - mean) / math.exp(log_std)) ** 2 - log_std - 0.5 * math.log(2 * math.pi)
                )
                logp += 0.2 * log_std
            else:
                logp = torch.log_softmax(logits[t], -1)[int(action)].item()
            mine.append((advantage, logp))
        rows += reversed(mine)
    squared = sum(advantage**2 for advantage, _ in rows) / len(rows)
    norm = 4.0 + 0.1 * (squared - 4.0)
    policy = -sum(math.exp(0.7 * advantage / math.sqrt(norm)) * logp for advantage, logp in rows) / len(rows)
    assert found.item() == pytest.approx(policy + 0.3 * 0.5 * squared, rel=1e-4)
    assert learner.get_algorithm_state()["sqd_adv_norms"]["default_policy"] == pytest.approx(norm, rel=1e-4)


def test_beta_0_imitates_all_alike() -> None:
    learner: Any = configured(beta=0.0).build_learner(env=gym.make("CartPole-v1"))
    module: Any = learner.module["default_policy"]
    batch = learner.batch_from_episodes(episodes())["default_policy"]
    out = module.forward_train(batch)
    found = learner.compute_loss_for_module(module_id="default_policy", config=learner.config, batch=batch, fwd_out=out)
    p = torch.log_softmax(out["action_dist_inputs"], -1)
    assert found.item() == pytest.approx(-p.gather(1, batch["actions"][:, None]).mean().item(), rel=1e-5)


def test_it_learns_to_balance_from_recorded_episodes(balanced: Path) -> None:
    config = configured(str(balanced), lr=3e-3, train_batch_size_per_learner=1000, minibatch_size=250, num_epochs=4)
    config.rl_module(model_config={"fcnet_hiddens": [32]})
    config.evaluation(evaluation_interval=1, evaluation_duration=4, evaluation_config={"explore": False})
    config.reporting(metrics_num_episodes_for_smoothing=4)
    with config.build_algo() as algo:
        for _ in range(15):
            result = algo.train()
            if result["evaluation"]["env_runners"]["episode_return_mean"] >= 400:
                break
        assert result["evaluation"]["env_runners"]["episode_return_mean"] >= 400
        assert {"policy_loss", "vf_loss", "vf_explained_variance", "curr_lr"} <= set(
            result["learners"]["default_policy"]
        )


def test_good_actions_count_more_than_bad_ones() -> None:
    """Of two actions taken equally often, the one that is rewarded is learned; BC could not tell them apart."""
    count = 200
    generator = np.random.default_rng(1)
    actions = generator.integers(2, size=count)
    rows: dict[str, Any] = {
        "obs": generator.normal(size=(count, 4)).astype(np.float32),
        "actions": actions,
        "rewards": actions.astype(np.float32),
        "terminateds": np.ones(count, bool),
    }
    config = configured(rows, beta=3.0, lr=1e-2, train_batch_size_per_learner=100)
    config.training(moving_average_sqd_adv_norm_start=1.0)
    with config.build_algo() as algo:
        for _ in range(30):
            algo.train()
        chosen = algo.compute_actions(dict(enumerate(rows["obs"])), explore=False)
    assert np.mean(list(chosen.values())) > 0.9


def weights(algo: Any) -> dict[str, Any]:
    found: dict[str, Any] = algo.get_weights()["default_policy"]
    return found


def test_it_is_the_same_again_and_resumed(tmp_path: Path) -> None:
    def config() -> MARWILConfig:
        return configured(moving_average_sqd_adv_norm_update_rate=0.1, minibatch_size=5, num_epochs=2)

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
    with MARWIL.from_checkpoint(path) as resumed:
        for _ in range(2):
            resumed.train()
        runs.append((weights(resumed), resumed.get_state()["learner_group"]["learner"]["algorithm"]))
    for name, value in runs[0][0].items():
        assert np.array_equal(value, runs[1][0][name]) and np.array_equal(value, runs[2][0][name]), name
    assert runs[0][1] == runs[1][1] == runs[2][1]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="beta is -1"):
        configured(beta=-1).build_algo()
    with pytest.raises(ConfigError, match="minibatch_size is 20"):
        configured(minibatch_size=20).build_algo()
