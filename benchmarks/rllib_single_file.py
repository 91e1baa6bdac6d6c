"""PPO in one file, without a library: what a person would write by hand. Vector environments, two networks, GAE in a loop, Adam.

The floor and the yardstick of rllib.py: its pieces (sampling, an update) are what shoal's are held against.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import nn

Policy = Callable[[torch.Tensor], torch.Tensor]


def network(hiddens: tuple[int, ...] = (256, 256)) -> tuple[nn.Module, nn.Module]:
    """Returns a policy of CartPole and a value function, of layers of these sizes with tanh in between."""

    def layers(outputs: int) -> nn.Module:
        made: list[nn.Module] = []
        size = 4
        for hidden in hiddens:
            made += [nn.Linear(size, hidden), nn.Tanh()]
            size = hidden
        return nn.Sequential(*made, nn.Linear(size, outputs))

    return layers(2), layers(1)


class Sampler:
    """Steps copies of CartPole with a policy.

    Args:
        envs: how many copies.
        seed: of the environments.
    """

    def __init__(self, envs: int, seed: int = 0) -> None:
        self.env = gym.make_vec("CartPole-v1", num_envs=envs, vectorization_mode="sync")
        self.envs = envs
        self.observation = self.env.reset(seed=seed)[0]
        self.returns: list[float] = []
        self._running = np.zeros(envs)
        self._resets = np.zeros(envs, bool)

    def sample(self, policy: Policy, steps: int) -> dict[str, Any]:
        """Makes steps of each copy. Returns arrays of shape (steps, copies)."""
        n = self.envs
        observations = np.empty((steps + 1, n, 4), np.float32)
        actions = np.empty((steps, n), np.int64)
        rewards = np.empty((steps, n), np.float32)
        terminated, ended, valid = (np.empty((steps, n), bool) for _ in range(3))
        logits = np.empty((steps, n, 2), np.float32)
        with torch.no_grad():
            for t in range(steps):
                observations[t] = self.observation
                out = policy(torch.from_numpy(self.observation))
                logits[t] = out.numpy()
                actions[t] = torch.multinomial(torch.softmax(out, 1), 1).squeeze(1).numpy()
                valid[t] = ~self._resets
                self.observation, reward, done, cut, _ = self.env.step(actions[t])
                rewards[t] = reward
                terminated[t] = done
                self._resets = ended[t] = done | cut
                self._running += reward * valid[t]
                for i in np.flatnonzero(self._resets):
                    self.returns.append(float(self._running[i]))
                    self._running[i] = 0
            observations[steps] = self.observation
        return {
            "obs": observations, "actions": actions, "rewards": rewards, "terminated": terminated, "ended": ended,
            "valid": valid, "logits": logits,
        }  # fmt: skip


def made(envs: int) -> list[gym.Env[Any, Any]]:
    """Returns copies of CartPole, each after a reset."""
    copies = [gym.make("CartPole-v1") for _ in range(envs)]
    for copy in copies:
        copy.reset(seed=0)
    return copies


def step_alone(envs: list[gym.Env[Any, Any]], steps: int) -> None:
    """Makes steps of each environment, and nothing else."""
    for _ in range(steps):
        for env in envs:
            _, _, done, cut, _ = env.step(0)
            if done or cut:
                env.reset()


def act_alone(policy: Policy, envs: int, steps: int) -> None:
    """Draws actions for so many environments at a time, and nothing else."""
    seen = torch.zeros(envs, 4)
    with torch.no_grad():
        for _ in range(steps):
            torch.multinomial(torch.softmax(policy(seen), 1), 1)


def batch_of(sampled: dict[str, Any], critic: Policy, gamma: float, lambda_: float) -> dict[str, torch.Tensor]:
    """Returns flat tensors with advantages (GAE) and value targets."""
    observations = torch.from_numpy(sampled["obs"])
    with torch.no_grad():
        values = critic(observations.reshape(-1, 4)).reshape(observations.shape[:2]).numpy()
    steps = len(sampled["rewards"])
    advantages = np.empty_like(sampled["rewards"])
    after = np.zeros(advantages.shape[1], np.float32)
    for t in reversed(range(steps)):
        goes_on = ~sampled["ended"][t]
        delta = sampled["rewards"][t] + gamma * values[t + 1] * ~sampled["terminated"][t] - values[t]
        after = advantages[t] = delta + gamma * lambda_ * goes_on * after
    kept = torch.from_numpy(sampled["valid"].reshape(-1))
    logits = torch.log_softmax(torch.from_numpy(sampled["logits"]).reshape(-1, 2), 1)
    actions = torch.from_numpy(sampled["actions"].reshape(-1))
    flat = torch.from_numpy(advantages.reshape(-1))
    batch = {
        "obs": observations[:-1].reshape(-1, 4),
        "actions": actions,
        "logits": logits,
        "logp": logits.gather(1, actions.unsqueeze(1)).squeeze(1),
        "targets": flat + torch.from_numpy(values[:-1].reshape(-1)),
        "advantages": flat,
    }
    batch = {name: column[kept] for name, column in batch.items()}
    batch["advantages"] = (batch["advantages"] - batch["advantages"].mean()) / batch["advantages"].std().clamp(min=1e-4)
    return batch


def update(
    policy: Policy,
    critic: Policy,
    optimizer: torch.optim.Optimizer,
    batch: dict[str, torch.Tensor],
    *,
    epochs: int,
    minibatch: int,
) -> int:
    """Goes through a batch. Returns how many steps of the optimizer were made."""
    rows, count = len(batch["obs"]), 0
    for _ in range(epochs):
        order = torch.randperm(rows)
        for start in range(0, rows, minibatch):
            part = {name: column[order[start : start + minibatch]] for name, column in batch.items()}
            log_probs = torch.log_softmax(policy(part["obs"]), 1)
            ratio = (log_probs.gather(1, part["actions"].unsqueeze(1)).squeeze(1) - part["logp"]).exp()
            surrogate = torch.minimum(part["advantages"] * ratio, part["advantages"] * ratio.clamp(0.7, 1.3))
            errors = (critic(part["obs"]).squeeze(1) - part["targets"]).square().clamp(max=10.0)
            divergence = (part["logits"].exp() * (part["logits"] - log_probs)).sum(1)
            loss = (-surrogate + errors + 0.2 * divergence).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            count += 1
    return count


def adam(policy: nn.Module, critic: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam([*policy.parameters(), *critic.parameters()], lr=lr, fused=True)


class Timer:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start
