"""BC's learner."""

from __future__ import annotations

from shoal.rllib.algorithms.bc.bc import BCLearner as BCTorchLearner

__all__ = ["BCTorchLearner"]
