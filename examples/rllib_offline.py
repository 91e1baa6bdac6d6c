"""Learning from recorded data: PPO learns to balance a pole, its episodes are recorded, and three algorithms learn from the records alone.

Recorded are episodes of the policy half-way, which explores: what is learned from them can be better than they are. BC imitates all of
them, MARWIL the better ones more, IQL what its critics prefer. The environment is there to evaluate only.

    ./run-example rllib_offline                    # or: python examples/rllib_offline.py
    ./run-example rllib_offline --quick            # a little of everything
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import shoal.data
from shoal.rllib.algorithms.bc import BCConfig
from shoal.rllib.algorithms.iql import IQLConfig
from shoal.rllib.algorithms.marwil import MARWILConfig
from shoal.rllib.algorithms.ppo import PPOConfig

ENV = "CartPole-v1"


def main() -> int:
    options = parse_arguments()
    folder: Path = options.output
    checkpoint = train(options, folder / "checkpoint")
    recorded = record(options, checkpoint, folder / "records")
    shown = Table(
        title=f"Learned from {shoal.data.read_parquet(str(folder / 'records')).count():,} recorded steps of {ENV}"
    )
    for column in ("", "batches", "s", "mean return"):
        shown.add_column(column, justify="right")
    shown.add_row("the recorded policy", "", "", f"{recorded:.1f}")
    best = 0.0
    for name, config in learners(options).items():
        config.environment(ENV).offline_data(input_=str(folder / "records")).debugging(seed=options.seed)
        updates, seconds, returned = learn(config, options)
        best = max(best, returned)
        shown.add_row(name, str(updates), f"{seconds:.1f}", f"{returned:.1f}")
    Console().print(shown)
    return 0 if best >= 400 or options.quick else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Three algorithms learn from what a fourth one did.")
    parser.add_argument("--output", type=Path, default=Path("rllib_offline_results"), metavar="FOLDER")
    parser.add_argument(
        "--record-return", type=float, default=100.0, metavar="R", help="of the policy that is recorded"
    )
    parser.add_argument("--episodes", type=int, default=100, metavar="N", help="how many are recorded (default: 100)")
    parser.add_argument("--passes", type=int, default=10, metavar="N", help="over the records (default: 10)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a little of everything, to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.record_return, options.episodes, options.passes = 0.0, 4, 2
    return options


def train(options: argparse.Namespace, checkpoint: Path) -> str:
    """Trains PPO until its episodes bring as much as asked for. Returns the checkpoint's folder."""
    config = PPOConfig().environment(ENV).debugging(seed=options.seed)
    config.env_runners(num_env_runners=0, num_envs_per_env_runner=8).training(lr=3e-4, lambda_=0.95, num_epochs=10)
    if options.quick:
        config.training(train_batch_size_per_learner=400, num_epochs=1)
    with config.build_algo() as algo:
        returned = -1.0
        while returned < options.record_return:
            returned = algo.train()["env_runners"]["episode_return_mean"]
        return algo.save_to_path(checkpoint)


def record(options: argparse.Namespace, checkpoint: str, folder: Path) -> float:
    """Has the trained policy act, and records it. Returns its mean return."""
    config = PPOConfig().environment(ENV).debugging(seed=options.seed + 1).env_runners(num_env_runners=0)
    config.evaluation(evaluation_duration=options.episodes)
    config.offline_data(output=str(folder), output_write_episodes=False)
    with config.build_algo() as algo:
        module = "learner_group/learner/rl_module"
        algo.restore_from_path(f"{checkpoint}/{module}", component=module)
        return float(algo.evaluate()["env_runners"]["episode_return_mean"])


def learners(options: argparse.Namespace) -> dict[str, Any]:
    """Returns algorithms' settings by name."""
    return {
        "BC": BCConfig().training(lr=1e-3, train_batch_size_per_learner=256),
        "MARWIL": MARWILConfig().training(
            lr=1e-3, train_batch_size_per_learner=2000, minibatch_size=250, shuffle_batch_per_epoch=True, beta=1.0
        ),
        "IQL": IQLConfig().training(train_batch_size_per_learner=256, beta=3.0, tau=0.01),
    }


def learn(config: Any, options: argparse.Namespace) -> tuple[int, float, float]:
    """Goes over the records, and evaluates. Returns how many batches there were, the seconds, and the mean return without exploration."""
    config.evaluation(evaluation_duration=2 if options.quick else 20, evaluation_config={"explore": False})
    started = time.perf_counter()
    with config.build_algo() as algo:
        for _ in range(options.passes):
            algo.train()
        seconds = time.perf_counter() - started
        updates = options.passes * algo.batches_per_iteration
        return updates, seconds, float(algo.evaluate()["env_runners"]["episode_return_mean"])


if __name__ == "__main__":
    sys.exit(main())
