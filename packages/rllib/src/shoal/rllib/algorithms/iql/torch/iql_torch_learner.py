"""IQL's learner."""

from __future__ import annotations

from shoal.rllib.algorithms.iql.iql import IQLLearner as IQLTorchLearner

__all__ = ["IQLTorchLearner"]
