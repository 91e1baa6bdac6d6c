"""Reinforcement learning: PPO learns to balance a pole, until it does so for 450 of 500 steps on average.

While it trains there is a live table; then it is saved, made again of what was saved, evaluated, and replayed in a video. The curve is
drawn into a folder, beside the checkpoint and the video.

    ./run-example ppo_cartpole                     # or: python examples/ppo_cartpole.py
    ./run-example ppo_cartpole --runners 2         # two processes sample
    ./run-example ppo_cartpole --quick             # a few iterations of little
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from rich.live import Live
from rich.table import Table

from shoal.rllib.algorithms.ppo import PPO, PPOConfig
from shoal.rllib.core.rl_module.rl_module import RLModule

ENV = "CartPole-v1"


def main() -> int:
    options = parse_arguments()
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    config = configured(options)
    rows, checkpoint = train(config, options, folder / "checkpoint")
    draw(rows, folder / "curve.png")
    evaluated = evaluate(checkpoint)
    video = replay(checkpoint, folder / "video") if options.video else None
    reached = rows[-1]["return"] >= options.stop_return
    print(
        f"{rows[-1]['steps']:,} steps in {rows[-1]['seconds']:.1f} s, mean return of the last 100 episodes {rows[-1]['return']:.1f}"
    )
    print(f"made again of the checkpoint: mean return {evaluated:.1f} without exploration")
    print(f"checkpoint: {checkpoint}\ncurve:      {folder / 'curve.png'}" + (f"\nvideo:      {video}" if video else ""))
    return 0 if reached or options.quick else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="PPO learns to balance a pole.")
    parser.add_argument("--output", type=Path, default=Path("ppo_cartpole_results"), metavar="FOLDER")
    parser.add_argument(
        "--runners", type=int, default=0, metavar="N", help="processes that sample (default: 0, this one)"
    )
    parser.add_argument("--envs", type=int, default=8, metavar="N", help="environments of each (default: 8)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--stop-return", type=float, default=450.0, metavar="R", help="mean return to train to (default: 450)"
    )
    parser.add_argument("--no-video", dest="video", action="store_false", help="no replay")
    parser.add_argument("--quick", action="store_true", help="two small iterations, to see that it works")
    return parser.parse_args()


def configured(options: argparse.Namespace) -> PPOConfig:
    """Returns the settings: RLlib's batches, with a learning rate that suits the task."""
    config = PPOConfig().environment(ENV).debugging(seed=options.seed)
    config.env_runners(num_env_runners=options.runners, num_envs_per_env_runner=options.envs)
    config.training(lr=3e-4, lambda_=0.95, num_epochs=10)
    config.evaluation(evaluation_duration=20, evaluation_config=PPOConfig.overrides(explore=False))
    if options.quick:
        config.training(train_batch_size_per_learner=400, num_epochs=2)
    return config


def train(config: PPOConfig, options: argparse.Namespace, checkpoint: Path) -> tuple[list[dict[str, float]], str]:
    """Trains until the return is reached, saves, and returns a row for each iteration and the checkpoint's folder."""
    rows: list[dict[str, float]] = []
    start = time.perf_counter()
    with config.build_algo() as algo, Live(table(rows), refresh_per_second=4) as live:
        while not rows or (rows[-1]["return"] < options.stop_return and len(rows) < (2 if options.quick else 200)):
            result = algo.train()
            sampled, learned = result["env_runners"], result["learners"]["default_policy"]
            rows.append({
                "iteration": result["training_iteration"],
                "steps": result["num_env_steps_sampled_lifetime"],
                "seconds": time.perf_counter() - start,
                "rate": sampled["num_env_steps_sampled"] / result["time_this_iter_s"],
                "return": sampled["episode_return_mean"],
                "episodes": sampled["num_episodes"],
                "entropy": learned["entropy"],
                "value_loss": learned["vf_loss"],
            })  # fmt: skip
            live.update(table(rows))
        return rows, algo.save_to_path(checkpoint)


def table(rows: list[dict[str, float]]) -> Table:
    """Returns the last iterations, for the terminal."""
    shown = Table(title=f"PPO on {ENV}")
    for column in ("iteration", "steps", "s", "steps/s", "mean return", "episodes", "entropy", "value loss"):
        shown.add_column(column, justify="right")
    for row in rows[-12:]:
        shown.add_row(
            f"{row['iteration']:.0f}", f"{row['steps']:,.0f}", f"{row['seconds']:.1f}", f"{row['rate']:,.0f}", f"{row['return']:.1f}",
            f"{row['episodes']:.0f}", f"{row['entropy']:.3f}", f"{row['value_loss']:.2f}",
        )  # fmt: skip
    return shown


def draw(rows: list[dict[str, float]], path: Path) -> None:
    """Draws returns over steps."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), constrained_layout=True)
    axes.plot([row["steps"] for row in rows], [row["return"] for row in rows], marker="o", markersize=3)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("mean return of 100 episodes")
    axes.set_title(f"PPO on {ENV}, {rows[-1]['seconds']:.1f} s")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def evaluate(checkpoint: str) -> float:
    """Returns the mean return of the algorithm that is made of a checkpoint, without exploration."""
    with PPO.from_checkpoint(checkpoint) as algo:
        return float(algo.evaluate()["env_runners"]["episode_return_mean"])


def replay(checkpoint: str, folder: Path) -> Path:
    """Has the policy alone, without an algorithm, act for an episode, and records it. Returns the video."""
    policy: Any = RLModule.from_checkpoint(Path(checkpoint, "learner_group", "learner", "rl_module", "default_policy"))
    distribution = policy.get_inference_action_dist_cls()
    env: Any = gym.make(ENV, render_mode="rgb_array")
    env = gym.wrappers.RecordVideo(env, str(folder), name_prefix="ppo_cartpole", disable_logger=True)
    observation, _ = env.reset(seed=1)
    over = False
    while not over:
        outputs = policy.forward_inference({"obs": torch.from_numpy(observation).unsqueeze(0)})
        action = distribution.from_logits(outputs["action_dist_inputs"]).to_deterministic().sample()
        observation, _, terminated, truncated, _ = env.step(int(action))
        over = terminated or truncated
    env.close()
    return next(iter(sorted(folder.glob("*.mp4"))))


if __name__ == "__main__":
    sys.exit(main())
