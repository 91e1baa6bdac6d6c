"""DQN's learner."""

from __future__ import annotations

from shoal.rllib.algorithms.dqn.dqn import DQNLearner as DQNTorchLearner

__all__ = ["DQNTorchLearner"]
