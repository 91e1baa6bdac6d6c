"""CQL's learner."""

from __future__ import annotations

from shoal.rllib.algorithms.cql.cql import CQLLearner as CQLTorchLearner

__all__ = ["CQLTorchLearner"]
