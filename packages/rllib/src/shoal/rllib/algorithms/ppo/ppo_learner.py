"""PPO's learner."""

from __future__ import annotations

from shoal.rllib.algorithms.ppo.ppo import PPOLearner

__all__ = ["PPOLearner"]
