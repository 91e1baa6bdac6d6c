"""A trained policy answers over HTTP: PPO learns to balance a pole, and players far away ask its policy what to do.

The service has the policy alone, loaded from its folder in the checkpoint: no algorithm and no environment. What several players ask at the
same time goes through the network together. The players here balance poles by the answers, and compare them with the policy's own.

    ./run-example rllib_serve                     # or: python examples/rllib_serve.py
    ./run-example rllib_serve --keep --port 8000  # go on serving: POST {"observation": [0, 0, 0, 0]} to http://127.0.0.1:8000/
    ./run-example rllib_serve --quick             # two small iterations, and short games
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

import shoal
from shoal import serve
from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.core.rl_module.rl_module import RLModule

ENV = "CartPole-v1"


class Policy:
    """A policy that acts for rows of observations.

    Args:
        folder: of the policy in a checkpoint.
    """

    def __init__(self, folder: str | Path) -> None:
        torch.set_num_threads(1)
        self.module: Any = RLModule.from_checkpoint(folder)
        self.distribution = self.module.get_inference_action_dist_cls()

    def act(self, observations: list[list[float]]) -> list[int]:
        """Returns the likeliest action for each observation."""
        outputs = self.module.forward_inference({"obs": torch.tensor(observations, dtype=torch.float32)})
        actions: list[int] = (
            self.distribution.from_logits(outputs["action_dist_inputs"]).to_deterministic().sample().tolist()
        )
        return actions


@serve.deployment(max_ongoing_requests=100)
class Player:
    """Answers HTTP: an observation comes, an action goes."""

    def __init__(self, folder: str) -> None:
        self.policy = Policy(folder)
        self.size = self.policy.module.observation_space.shape[0]

    async def __call__(self, request: Any) -> dict[str, Any]:
        given = (await request.json()).get("observation")
        if not isinstance(given, list) or len(given) != self.size:
            return {"error": f"observation is {given!r}; give {self.size} numbers"}
        return {"action": await self.together([float(number) for number in given])}

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.001)
    async def together(self, observations: list[list[float]]) -> list[int]:
        """Acts for all that asked at the same time."""
        return self.policy.act(observations)


def main() -> int:
    options = parse_arguments()
    folder = train(options)
    shoal.init(num_cpus=max(4, len(os.sched_getaffinity(0))), log_to_driver=False)
    host, port = serve.start(http_options={"port": options.port})
    serve.run(Player.bind(str(folder)))
    url = f"http://{host}:{port}/"
    print(f"what a wrong request is told: {ask(url, [0.0])}")

    local, start = Policy(folder), time.perf_counter()
    with ThreadPoolExecutor(options.players) as pool:
        games = list(pool.map(lambda seed: play(url, local, seed, options.steps), range(options.players)))
    seconds = time.perf_counter() - start
    steps = sum(returned for returned, _ in games)
    print(
        f"{len(games)} games over HTTP: mean return {steps / len(games):.1f}; {steps / seconds:,.0f} actions a second"
    )
    print(f"actions that are the policy's own: {sum(same for _, same in games):.0f} of {steps:.0f}")
    if options.keep:
        print(f"serving at {url} until Ctrl-C")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    serve.shutdown()
    shoal.shutdown()
    return 0


def train(options: argparse.Namespace) -> Path:
    """Trains, and returns the folder of the policy alone."""
    config = PPOConfig().environment(ENV).env_runners(num_env_runners=0, num_envs_per_env_runner=8)
    config.training(lr=5e-4, lambda_=0.95, train_batch_size_per_learner=2000, minibatch_size=250, num_epochs=8)
    config.debugging(seed=options.seed)
    if options.quick:
        config.training(train_batch_size_per_learner=400, num_epochs=2)
    with config.build_algo() as algo:
        for _ in range(2 if options.quick else 60):
            result = algo.train()
            mean = result["env_runners"]["episode_return_mean"]
            print(f"iteration {result['training_iteration']:3}: mean return {mean:6.1f}", flush=True)
            if mean >= 450:
                break
        path = algo.save_to_path(options.output / "checkpoint")
    return Path(path, "learner_group", "learner", "rl_module", "default_policy")


def ask(url: str, observation: list[float]) -> dict[str, Any]:
    """Returns what the service answers."""
    request = urllib.request.Request(url, json.dumps({"observation": observation}).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def play(url: str, local: Policy, seed: int, steps: int) -> tuple[float, int]:
    """Plays a game by the answers. Returns its return, and how many actions were those of a policy here."""
    env: gym.Env[Any, Any] = gym.make(ENV, max_episode_steps=steps)
    observation, _ = env.reset(seed=seed)
    total, same, over = 0.0, 0, False
    while not over:
        row = observation.tolist()
        action = ask(url, row)["action"]
        same += action == local.act([row])[0]
        observation, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        over = terminated or truncated
    env.close()
    return total, same


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A trained policy answers over HTTP.")
    parser.add_argument("--output", type=Path, default=Path("rllib_serve_results"), metavar="FOLDER")
    parser.add_argument("--players", type=int, default=8, metavar="N", help="games at a time (default: 8)")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="of HTTP; 0 for any that is free")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="go on serving until Ctrl-C")
    parser.add_argument("--quick", action="store_true", help="two small iterations, and short games")
    options = parser.parse_args()
    options.steps = 15 if options.quick else 500
    if options.quick:
        options.players = min(options.players, 3)
    return options


if __name__ == "__main__":
    sys.exit(main())
