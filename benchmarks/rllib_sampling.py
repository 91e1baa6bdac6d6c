"""How fast an env runner samples, beside a loop over the same vector environment and the same module that keeps nothing.

    python benchmarks/rllib_sampling.py [--envs 1 8] [--steps 4000] [--rounds 7]

Both run in this process with one thread, in turns; the best round of each counts. Resets do not count as steps, for either.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import torch

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner


@dataclass(frozen=True)
class Comparison:
    """Steps a second of both."""

    env: str
    num_envs: int
    runner_steps_per_s: float
    bare_steps_per_s: float

    @property
    def ratio(self) -> float:
        """The runner's speed over that of the loop."""
        return self.runner_steps_per_s / self.bare_steps_per_s


def compare_sampling(
    env: str = "CartPole-v1", num_envs: int = 1, steps: int = 4000, rounds: int = 7, seed: int = 0
) -> Comparison:
    """Returns how fast both are.

    Args:
        env: the id of a gymnasium environment.
        num_envs: how many copies of it.
        steps: of one round.
        rounds: how often each is measured.
        seed: of both.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        config = PPOConfig().environment(env).debugging(seed=seed)
        config = config.env_runners(num_env_runners=0, num_envs_per_env_runner=num_envs)
        runner = SingleAgentEnvRunner(config=config)
        runner.sample(num_timesteps=steps)
        runner_rates, bare_rates = [], []
        for _ in range(rounds):
            start = time.perf_counter()
            episodes = runner.sample(num_timesteps=steps)
            runner_rates.append(sum(map(len, episodes)) / (time.perf_counter() - start))
            bare_rates.append(bare_loop(env, num_envs, steps, runner.module, seed))
        runner.stop()
    finally:
        torch.set_num_threads(threads)
    return Comparison(env, num_envs, max(runner_rates), max(bare_rates))


def bare_loop(env: str, num_envs: int, steps: int, module: Any, seed: int) -> float:
    """Returns steps a second of a loop that acts, looks how likely the actions were, and steps; it keeps nothing."""
    envs = gym.vector.SyncVectorEnv([lambda: gym.make(env) for _ in range(num_envs)])
    distribution = module.get_exploration_action_dist_cls()
    generator = torch.Generator().manual_seed(seed)
    observations, _ = envs.reset(seed=seed)
    box = isinstance(envs.single_action_space, gym.spaces.Box)
    space: Any = envs.single_action_space
    stepped = 0
    resetting = 0
    start = time.perf_counter()
    while stepped < steps:
        outputs = module.forward_exploration({"obs": torch.from_numpy(observations)})
        drawn = distribution.from_logits(outputs["action_dist_inputs"])
        actions = drawn.sample(generator=generator)
        drawn.logp(actions)
        taken = actions.numpy()
        if box:
            taken = (space.low + (taken + 1.0) * (space.high - space.low) / 2.0).clip(space.low, space.high)
        observations, _, terminateds, truncateds, _ = envs.step(taken)
        stepped += num_envs - resetting
        resetting = int((terminateds | truncateds).sum())
    rate = stepped / (time.perf_counter() - start)
    envs.close()
    return rate


def main() -> None:
    """Prints a line of JSON for each number of environments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", default="CartPole-v1")
    parser.add_argument("--envs", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    for num_envs in arguments.envs:
        found = compare_sampling(arguments.env, num_envs, arguments.steps, arguments.rounds)
        print(json.dumps({**asdict(found), "ratio": round(found.ratio, 3)}))


if __name__ == "__main__":
    main()
