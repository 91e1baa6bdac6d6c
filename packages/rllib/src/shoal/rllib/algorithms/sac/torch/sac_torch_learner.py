"""SAC's learner."""

from __future__ import annotations

from shoal.rllib.algorithms.sac.sac import SACLearner as SACTorchLearner

__all__ = ["SACTorchLearner"]
