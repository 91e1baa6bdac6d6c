"""MARWIL's learner."""

from __future__ import annotations

from shoal.rllib.algorithms.marwil.marwil import MARWILLearner as MARWILTorchLearner

__all__ = ["MARWILTorchLearner"]
