"""An environment of one's own: PPO learns to heat a room, warm enough by day and cheap, with prices that change by the hour.

The environment is a plain Gymnasium class. What is learned is compared with a thermostat, as people have them, on days that neither has
seen; then the policy, loaded from its folder alone, heats one more day, hour by hour.

    ./run-example rllib_custom_env                # or: python examples/rllib_custom_env.py
    ./run-example rllib_custom_env --runners 2    # two processes sample
    ./run-example rllib_custom_env --quick        # two small iterations
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.core.rl_module.rl_module import RLModule

STEPS_AN_HOUR = 4
HEATER_KW = 5.0
POWERS = (0.0, 0.5, 1.0)
Act = Callable[[Any], int]


class HeatedRoom(gym.Env[Any, Any]):
    """A day in a room, in steps of a quarter of an hour. Each step costs electricity, and every degree below comfort as much as 2 kWh.

    Args:
        config: `insulation_h`, the hours in which the room comes near to the temperature outside (8 if not given).
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.insulation_h = float((config or {}).get("insulation_h", 8.0))
        # Temperatures of the room and outside, scaled; the sine and cosine of the hour; the price.
        self.observation_space = gym.spaces.Box(-10.0, 10.0, (5,), np.float32)
        self.action_space = gym.spaces.Discrete(len(POWERS))
        self.step_number = 0
        self.room = self.mean_outside = 0.0

    @property
    def hour(self) -> float:
        return self.step_number / STEPS_AN_HOUR % 24

    @property
    def outside(self) -> float:
        return self.mean_outside + 5 * math.sin((self.hour - 9) / 24 * math.tau)

    @property
    def price(self) -> float:
        """Of a kWh: cheap by night, dear in the evening."""
        return 0.1 if self.hour < 6 else 0.5 if 17 <= self.hour < 20 else 0.3

    @property
    def comfort(self) -> float:
        """The temperature that is wanted, at least."""
        return 20.0 if 7 <= self.hour < 22 else 16.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.step_number = 0
        self.room = float(self.np_random.uniform(15, 20))
        self.mean_outside = float(self.np_random.uniform(-5, 10))
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        power = POWERS[int(action)]
        self.room += ((self.outside - self.room) / self.insulation_h + 5 * power) / STEPS_AN_HOUR
        cost = self.price * HEATER_KW * power / STEPS_AN_HOUR
        cold = max(0.0, self.comfort - self.room)
        reward = -cost - 0.5 * cold
        self.step_number += 1
        # The day ends by the clock, not by anything that was done: it is truncated.
        over = self.step_number >= 24 * STEPS_AN_HOUR
        return self._observation(), reward, False, over, {"cost": cost, "cold": cold}

    def _observation(self) -> Any:
        angle = self.hour / 24 * math.tau
        values = [(self.room - 18) / 5, (self.outside - 5) / 10, math.sin(angle), math.cos(angle), 5 * self.price]
        return np.array(values, np.float32)


def thermostat(observation: Any) -> int:
    """What is learned has to be better than this: full power below 20.5 degrees."""
    return 2 if 18 + 5 * observation[0] < 20.5 else 0


def main() -> int:
    options = parse_arguments()
    config = (
        PPOConfig()
        .environment(HeatedRoom, env_config={"insulation_h": 10.0})
        .env_runners(num_env_runners=options.runners, num_envs_per_env_runner=8)
        .training(lr=5e-4, gamma=0.97, lambda_=0.9, train_batch_size_per_learner=2000, minibatch_size=250, num_epochs=8)
        .rl_module(model_config={"fcnet_hiddens": [64, 64]})
        .debugging(seed=options.seed)
    )
    if options.quick:
        config.training(train_batch_size_per_learner=800, num_epochs=2)
    with config.build_algo() as algo:
        for _ in range(2 if options.quick else options.iterations):
            result = algo.train()
            mean = result["env_runners"]["episode_return_mean"]
            print(f"iteration {result['training_iteration']:3}: mean return {mean:8.2f}", flush=True)
        folder = algo.get_module().save_to_path(options.output / "policy")
    act = policy_from(folder)
    env = HeatedRoom({"insulation_h": 10.0})
    ours, theirs = (mean_return(env, rule, days=20) for rule in (act, thermostat))
    print(f"mean return of 20 new days: {ours:.2f}; of the thermostat: {theirs:.2f}")
    print("\n  h  outside   room  wanted  price  power")
    for line in day(env, act):
        print(line)
    print(f"policy: {folder}")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="PPO learns to heat a room.")
    parser.add_argument("--output", type=Path, default=Path("rllib_custom_env_results"), metavar="FOLDER")
    parser.add_argument("--iterations", type=int, default=60, metavar="N", help="of 2000 steps each (default: 60)")
    parser.add_argument(
        "--runners", type=int, default=0, metavar="N", help="processes that sample (default: 0, this one)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two small iterations, to see that it works")
    return parser.parse_args()


def policy_from(folder: str) -> Act:
    """Returns what a policy does without chance, of the policy's own folder: no algorithm, no environment."""
    module: Any = RLModule.from_checkpoint(folder)

    def act(observation: Any) -> int:
        outputs = module.forward_inference({"obs": torch.from_numpy(observation).unsqueeze(0)})
        return int(outputs["action_dist_inputs"].argmax(-1))

    return act


def mean_return(env: HeatedRoom, act: Act, days: int) -> float:
    """Returns the mean return of days that are the same for everybody."""
    total = 0.0
    for number in range(days):
        observation, _ = env.reset(seed=1000 + number)
        over = False
        while not over:
            observation, reward, _, over, _ = env.step(act(observation))
            total += reward
    return total / days


def day(env: HeatedRoom, act: Act) -> list[str]:
    """Returns a line for each hour of a day."""
    observation, _ = env.reset(seed=1)
    lines, powers = [], []
    over = False
    while not over:
        hour, outside, wanted, price = env.hour, env.outside, env.comfort, env.price
        action = act(observation)
        powers.append(POWERS[action])
        observation, _, _, over, _ = env.step(action)
        if len(powers) == STEPS_AN_HOUR:
            power = sum(powers) / STEPS_AN_HOUR
            lines.append(f"{int(hour):3} {outside:8.1f} {env.room:6.1f} {wanted:7.0f} {price:6.2f} {power:6.2f}")
            powers = []
    return lines


if __name__ == "__main__":
    sys.exit(main())
