"""MARWIL's learner."""

from __future__ import annotations

from shoal.rllib.algorithms.marwil.marwil import MARWILLearner

__all__ = ["MARWILLearner"]
