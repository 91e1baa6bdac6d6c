"""What stable-baselines3 learns from a task of rllib_learning.py, with the settings that its users have tuned (rl-baselines3-zoo).

rllib_learning.py starts it with an interpreter that has stable-baselines3: `python rllib_learning_sb3.py TASK SEED SHARE`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

EPISODES = 20
"""Of an evaluation."""
POINTS = 25
"""Of a curve."""


@dataclass(frozen=True)
class Peer:
    """A task as stable-baselines3 has it.

    Args:
        steps: of the environment.
        model: makes the model of a seed.
    """

    steps: int
    model: Callable[[int], Any]


def sac_halfcheetah(seed: int) -> Any:
    from stable_baselines3 import SAC
    from stable_baselines3.common.env_util import make_vec_env

    env = make_vec_env("HalfCheetah-v5", n_envs=1, seed=seed)
    nets = {"net_arch": [64, 64]}  # the task's; with larger ones the same takes a night
    return SAC("MlpPolicy", env, learning_starts=10_000, policy_kwargs=nets, seed=seed, device="cpu")


PEERS = {"sac-halfcheetah": Peer(100_000, sac_halfcheetah)}
"""By the name of the task."""


def run(name: str, seed: int, share: float) -> dict[str, Any]:
    """Trains with one seed, in this process."""
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.evaluation import evaluate_policy

    torch.set_num_threads(1)
    peer = PEERS[name]
    steps = int(peer.steps * share)
    model = peer.model(seed)
    curve: list[tuple[int, float]] = []

    class Curve(BaseCallback):  # type: ignore[misc]
        def _on_step(self) -> bool:
            last = [episode["r"] for episode in self.model.ep_info_buffer or ()]
            if last and self.num_timesteps % (steps // POINTS) == 0:
                curve.append((self.num_timesteps, float(sum(last) / len(last))))
            return True

    began = time.perf_counter()
    model.learn(steps, callback=Curve())
    seconds = time.perf_counter() - began
    returned, _ = evaluate_policy(model, model.get_env(), n_eval_episodes=EPISODES, deterministic=True)
    return {"task": name, "seed": seed, "steps": steps, "return": float(returned), "seconds": seconds, "curve": curve}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
