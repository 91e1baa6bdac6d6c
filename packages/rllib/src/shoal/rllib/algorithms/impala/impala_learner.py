"""IMPALA's learner."""

from __future__ import annotations

from shoal.rllib.algorithms.impala.impala import IMPALALearner

__all__ = ["IMPALALearner"]
