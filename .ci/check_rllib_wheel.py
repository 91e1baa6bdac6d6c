"""Checks shoal-rllib as installed from its wheel, with shoal-core alone: a quick start."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import importlib.util
import sys
import tempfile
from pathlib import Path

from shoal import rllib


def check_that_it_is_the_wheel() -> None:
    assert "site-packages" in Path(rllib.__file__).parts, rllib.__file__
    assert rllib.__version__ == importlib.metadata.version("shoal-rllib")
    assert importlib.resources.files("shoal.rllib").joinpath("py.typed").is_file()
    assert "torch" not in sys.modules, "importing shoal.rllib loads torch"
    for other in ("tune", "train", "data", "serve"):
        assert importlib.util.find_spec(f"shoal.{other}") is None, f"shoal-{other} came along with shoal-rllib"


def check_a_quick_start() -> None:
    import torch

    from shoal.rllib.algorithms.ppo import PPO, PPOConfig
    from shoal.rllib.core.rl_module.rl_module import RLModule

    config = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=1, num_envs_per_env_runner=2)
    config.training(train_batch_size_per_learner=200, minibatch_size=50, num_epochs=2)
    with tempfile.TemporaryDirectory() as folder:
        with config.build_algo() as algo:
            assert algo.train()["env_runners"]["episode_return_mean"] > 0
            path = algo.save_to_path(Path(folder, "checkpoint"))
        with PPO.from_checkpoint(path) as algo:
            assert algo.train()["training_iteration"] == 2
        policy = RLModule.from_checkpoint(Path(path, "learner_group", "learner", "rl_module", "default_policy"))
        assert policy.forward_inference({"obs": torch.zeros(1, 4)})["action_dist_inputs"].shape == (1, 2)


def main() -> int:
    check_that_it_is_the_wheel()
    check_a_quick_start()
    print("shoal-rllib's wheel works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
