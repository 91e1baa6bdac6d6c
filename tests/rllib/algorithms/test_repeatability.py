"""One seed and one configuration give the same weights to the bit: again, resumed, and in another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.ppo import PPO, PPOConfig
from shoal.rllib.core.rl_module.rl_module import RLModule
from shoal.rllib.utils.error import CheckpointError, LearnerLostError

ITERATIONS = 10
MEMORY = {"use_lstm": True, "max_seq_len": 8, "lstm_cell_size": 8}


def configured(runners: int = 0, learners: int = 0, **model_config: Any) -> PPOConfig:
    config = PPOConfig().environment("CartPole-v1").debugging(seed=3)
    config.env_runners(num_env_runners=runners, num_envs_per_env_runner=2).learners(num_learners=learners)
    config.training(train_batch_size_per_learner=100, minibatch_size=50, num_epochs=2, lr=[[0, 1e-2], [2000, 1e-3]])
    return config.rl_module(model_config={"fcnet_hiddens": [16], **model_config})


def weights_of(algo: Algorithm) -> dict[str, Any]:
    weights: dict[str, Any] = algo.get_weights()["default_policy"]
    return weights


def run(config: PPOConfig, iterations: int = ITERATIONS) -> tuple[dict[str, Any], dict[str, Any]]:
    with config.build_algo() as algo:
        for _ in range(iterations):
            result = algo.train()
        return weights_of(algo), result


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        assert np.array_equal(value, theirs[name]), name


@pytest.mark.parametrize("model_config", [{}, MEMORY], ids=["plain", "memory"])
def test_a_run_in_this_process_is_the_same_again_and_resumed(model_config: dict[str, Any], tmp_path: Path) -> None:
    straight, result = run(configured(**model_config))
    again, _ = run(configured(**model_config))
    assert_same(straight, again)
    with configured(**model_config).build_algo() as algo:
        for _ in range(ITERATIONS // 2):
            algo.train()
        path = algo.save_to_path(tmp_path / "half")
    with PPO.from_checkpoint(path) as resumed:
        assert resumed.iteration == ITERATIONS // 2
        for _ in range(ITERATIONS // 2):
            last = resumed.train()
        assert_same(straight, weights_of(resumed))
    for key in ("training_iteration", "num_env_steps_sampled_lifetime"):
        assert last[key] == result[key]
    assert last["env_runners"]["episode_return_mean"] == result["env_runners"]["episode_return_mean"]
    assert last["learners"]["default_policy"]["total_loss"] == result["learners"]["default_policy"]["total_loss"]


def test_another_seed_gives_another_run() -> None:
    ours, _ = run(configured(), 1)
    theirs, _ = run(configured().debugging(seed=4), 1)
    assert not np.array_equal(ours["pi.0.weight"], theirs["pi.0.weight"])


def test_runners_as_actors_are_the_same_again_and_resumed(session: None, tmp_path: Path) -> None:
    straight, _ = run(configured(runners=2))
    with configured(runners=2).build_algo() as algo:
        for _ in range(ITERATIONS // 2):
            algo.train()
        path = algo.save_to_path(tmp_path / "half")
        for _ in range(ITERATIONS // 2):
            algo.train()
        assert_same(straight, weights_of(algo))
    with PPO.from_checkpoint(path) as resumed:
        for _ in range(ITERATIONS // 2):
            resumed.train()
        assert_same(straight, weights_of(resumed))


def test_learners_as_actors_go_by_the_mean_of_their_gradients(session: None, tmp_path: Path) -> None:
    config = configured(learners=2)
    with config.build_algo() as algo:
        for _ in range(2):
            algo.train()
        first, second = algo.learner_group.foreach_learner(lambda learner: learner.module.get_state()["default_policy"])
        assert_same(first, second)
        path = algo.save_to_path(tmp_path / "half")
        algo.train()
        straight = weights_of(algo)
    with PPO.from_checkpoint(path) as resumed:
        resumed.train()
        assert_same(straight, weights_of(resumed))
        copy = resumed.get_module()
        assert_same(straight, copy.get_state())  # value function and all
        assert resumed.get_module() is copy
        pid = resumed.learner_group.foreach_learner(lambda learner: os.getpid(), remote_actor_ids=[1])[0]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(LearnerLostError, match=r"(?s)learner 1 of 2 has died.*PPO\.from_checkpoint"):
            resumed.train()


def test_a_checkpoint_goes_on_in_another_process(tmp_path: Path) -> None:
    with configured().build_algo() as algo:
        algo.train()
        path = algo.save_to_path(tmp_path / "one")
        algo.train()
        algo.get_module().save_to_path(tmp_path / "expected")
    program = (
        "import sys\nfrom shoal.rllib.algorithms.algorithm import Algorithm\n"
        "algo = Algorithm.from_checkpoint(sys.argv[1])\n"
        "assert algo.train()['training_iteration'] == 2\n"
        "algo.get_module().save_to_path(sys.argv[2])\nalgo.stop()\n"
    )
    subprocess.run([sys.executable, "-c", program, path, str(tmp_path / "made")], check=True)
    expected = RLModule.from_checkpoint(tmp_path / "expected")
    assert_same(expected.get_state(), RLModule.from_checkpoint(tmp_path / "made").get_state())


def test_folders_are_as_rllib_lays_them_out(tmp_path: Path) -> None:
    with configured().build_algo() as algo:
        algo.train()
        path = Path(algo.save_to_path(tmp_path / "one"))
        (path / "mine.txt").write_text("kept")
        assert algo.save_to_path(path) == str(path)
        assert (path / "mine.txt").read_text() == "kept"
    policy = path / "learner_group" / "learner" / "rl_module" / "default_policy"
    for file in (
        path / "algorithm_state.pkl",
        path / "class_and_ctor_args.pkl",
        path / "metadata.json",
        path / "env_runner" / "env_runner_state.pkl",
        policy / "module_state.pkl",
    ):
        assert file.is_file(), file
    assert not [item for item in tmp_path.iterdir() if item.name.startswith(".")]
    loaded = RLModule.from_checkpoint(policy)
    with configured().build_algo() as fresh:
        fresh.restore_from_path(policy.parent, component="learner_group/learner/rl_module")
        assert_same(weights_of(fresh), loaded.get_state())
        assert fresh.iteration == 0


class Other(PPO):
    pass


class Unrelated(Algorithm):
    def training_step(self) -> None:
        pass


def test_a_checkpoint_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    with configured().build_algo() as algo:
        path = algo.save_to_path(tmp_path / "one")
        result = algo.save(str(tmp_path / "two"))
        assert result.checkpoint.path == str(tmp_path / "two")
    config = configured()
    config.algo_class = Unrelated
    with config.build_algo() as unrelated, pytest.raises(CheckpointError, match=r"PPO.*Unrelated"):
        unrelated.restore(result)
    with pytest.raises(CheckpointError, match=r"use PPO\.from_checkpoint"):
        Other.from_checkpoint(path)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        PPO.from_checkpoint(tmp_path)
    wider = configured().rl_module(model_config={"fcnet_hiddens": [17]})
    with wider.build_algo() as algo, pytest.raises(CheckpointError, match="same model_config"):
        algo.restore_from_path(path)


def test_evaluation_beside_training_changes_nothing_of_it(session: None) -> None:
    config = configured().evaluation(
        evaluation_interval=1,
        evaluation_num_env_runners=2,
        evaluation_parallel_to_training=True,
        evaluation_duration="auto",
    )
    with config.build_algo() as algo:
        for _ in range(2):
            result = algo.train()
        evaluated = result["evaluation"]["env_runners"]
        assert evaluated["num_env_steps_sampled"] >= 200
        ours = weights_of(algo)
    assert_same(ours, run(configured(), 2)[0])
