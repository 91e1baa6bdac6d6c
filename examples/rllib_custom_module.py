"""A network of one's own: PPO trains it, and then it acts with torch alone, without shoal.

Policy and value function share a body of residual blocks. The module's parts are plain torch modules: what acts is saved by `torch.save`,
loaded into a plain `torch.nn.Module`, and balances the pole there.

    ./run-example rllib_custom_module             # or: python examples/rllib_custom_module.py
    ./run-example rllib_custom_module --blocks 4  # a deeper body
    ./run-example rllib_custom_module --quick     # two small iterations
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.rl_module.apis import InferenceOnlyAPI, ValueFunctionAPI
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.core.rl_module.torch import TorchRLModule

ENV = "CartPole-v1"


class Residual(nn.Module):
    """A block that adds something to what comes in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, features: Tensor) -> Tensor:
        added: Tensor = self.layers(features)
        return features + added


def body(inputs: int, width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), *(Residual(width) for _ in range(blocks)), nn.LayerNorm(width))


class ResidualModule(TorchRLModule, ValueFunctionAPI, InferenceOnlyAPI):
    """A policy and a value function on one body. `model_config` has `width` and `blocks`."""

    def setup(self) -> None:
        space: Any = self.observation_space
        actions: Any = self.action_space
        width, blocks = self.model_config["width"], self.model_config["blocks"]
        self.body = body(space.shape[0], width, blocks)
        self.policy = nn.Linear(width, int(actions.n))
        self.value = nn.Linear(width, 1)

    def get_non_inference_attributes(self) -> list[str]:
        # Env runners have no use for it: they get a module, and weights, without.
        return ["value"]

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        features = self.body(batch[Columns.OBS])
        # The loss hands the features back to compute_values: the body runs once.
        return {Columns.ACTION_DIST_INPUTS: self.policy(features), Columns.EMBEDDINGS: features}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        features = self.body(batch[Columns.OBS]) if embeddings is None else embeddings
        values: Tensor = self.value(features).squeeze(-1)
        return values


def main() -> int:
    options = parse_arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    form = {"width": 64, "blocks": options.blocks}
    config = (
        PPOConfig()
        .environment(ENV)
        .env_runners(num_env_runners=0, num_envs_per_env_runner=8)
        .training(lr=5e-4, lambda_=0.95, train_batch_size_per_learner=2000, minibatch_size=250, num_epochs=8)
        .rl_module(rl_module_spec=RLModuleSpec(module_class=ResidualModule, model_config=form))
        .debugging(seed=options.seed)
    )
    if options.quick:
        config.training(train_batch_size_per_learner=400, num_epochs=2)
    with config.build_algo() as algo:
        for _ in range(2 if options.quick else 60):
            result = algo.train()
            mean = result["env_runners"]["episode_return_mean"]
            print(f"iteration {result['training_iteration']:3}: mean return {mean:6.1f}", flush=True)
            if mean >= 450:
                break
        trained: Any = algo.get_module()
        size = sum(parameter.numel() for parameter in trained.parameters())
    file = options.output / "actor.pt"
    torch.save(nn.Sequential(trained.body, trained.policy).state_dict(), file)
    print(f"{size:,} parameters; what acts of them is in {file}")

    # From here on there is torch, and nothing else.
    env: gym.Env[Any, Any] = gym.make(ENV)
    space: Any = env.observation_space
    actions: Any = env.action_space
    actor = nn.Sequential(body(space.shape[0], form["width"], form["blocks"]), nn.Linear(form["width"], int(actions.n)))
    actor.load_state_dict(torch.load(file, weights_only=True))
    returns = [play(env, actor, seed) for seed in range(2 if options.quick else 10)]
    print(f"mean return of {len(returns)} episodes with torch alone: {sum(returns) / len(returns):.1f}")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="PPO trains a network of one's own.")
    parser.add_argument("--output", type=Path, default=Path("rllib_custom_module_results"), metavar="FOLDER")
    parser.add_argument("--blocks", type=int, default=2, metavar="N", help="residual blocks (default: 2)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two small iterations, to see that it works")
    return parser.parse_args()


def play(env: gym.Env[Any, Any], actor: nn.Module, seed: int) -> float:
    """Returns an episode's return."""
    observation, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        with torch.no_grad():
            action = int(actor(torch.from_numpy(observation)).argmax())
        observation, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        over = terminated or truncated
    return total


if __name__ == "__main__":
    sys.exit(main())
