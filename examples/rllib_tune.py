"""A search over an algorithm's settings: PPO's learning rate, GAE's lambda and the network's size, with bad trials ended early by ASHA.

A configuration is a search space: `tune` values stand where numbers would. Each trial needs one CPU. The best trial's checkpoint is made
an algorithm again, and evaluated.

    ./run-example rllib_tune                      # or: python examples/rllib_tune.py
    ./run-example rllib_tune --trials 16
    ./run-example rllib_tune --quick              # two trials of two small iterations
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import shoal
from shoal import tune
from shoal.rllib.algorithms.ppo import PPO, PPOConfig
from shoal.tune.schedulers import ASHAScheduler

METRIC = "env_runners/episode_return_mean"


def main() -> int:
    options = parse_arguments()
    shoal.init(num_cpus=options.cpus, log_to_driver=False)
    results = tune.Tuner(
        "PPO",
        param_space=space(options.quick),
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="max",
            num_samples=options.trials,
            scheduler=ASHAScheduler(max_t=options.iterations, grace_period=max(1, options.iterations // 4), reduction_factor=2),
            seed=options.seed,
        ),
        run_config=tune.RunConfig(
            name="rllib_tune",
            storage_path=str(options.output.absolute()),
            stop={METRIC: 475.0},
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
        ),
    ).fit()  # fmt: skip
    for result in results:
        found = result.config or {}
        form, metrics = found["model_config"]["fcnet_hiddens"], result.metrics or {}
        print(
            f"lr {found['lr']:.5f}, lambda {found['lambda_']}, layers {form}: "
            f"{metrics['training_iteration']} iterations, mean return {metrics['env_runners']['episode_return_mean']:.1f}"
        )
    best = results.get_best_result()
    assert best.checkpoint is not None
    folder = best.checkpoint.path
    with PPO.from_checkpoint(folder) as algo:
        evaluated = algo.evaluate()["env_runners"]["episode_return_mean"]
    print(f"the best, without exploration: mean return {evaluated:.1f}\ncheckpoint: {folder}")
    shoal.shutdown()
    return 0 if results.num_errors == 0 else 1


def space(quick: bool) -> Any:
    """Returns what is searched: a configuration with domains in it."""
    lambdas: Any = tune.choice([0.9, 0.95, 1.0])
    config = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=8)
        .training(
            lr=tune.loguniform(1e-4, 3e-3),
            lambda_=lambdas,
            train_batch_size_per_learner=2000,
            minibatch_size=250,
            num_epochs=8,
        )
        .rl_module(model_config={"fcnet_hiddens": tune.choice([[32, 32], [64, 64], [256, 256]])})
        .evaluation(evaluation_duration=10, evaluation_config=PPOConfig.overrides(explore=False))
    )
    if quick:
        config.training(train_batch_size_per_learner=400, num_epochs=2)
        config.evaluation(evaluation_duration=2)
    return config


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A search over PPO's settings.")
    parser.add_argument("--output", type=Path, default=Path("rllib_tune_results"), metavar="FOLDER")
    parser.add_argument("--trials", type=int, default=6, metavar="N", help="how many configurations (default: 6)")
    parser.add_argument("--iterations", type=int, default=12, metavar="N", help="most iterations of a trial (default: 12)")  # fmt: skip
    parser.add_argument("--cpus", type=int, default=None, metavar="N", help="trials at a time (default: all processors)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two trials of two small iterations, to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.trials, options.iterations = 2, 2
    return options


if __name__ == "__main__":
    sys.exit(main())
