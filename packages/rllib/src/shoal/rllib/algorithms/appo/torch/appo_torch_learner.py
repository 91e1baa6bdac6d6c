"""APPO's learner."""

from __future__ import annotations

from shoal.rllib.algorithms.appo.appo import APPOLearner as APPOTorchLearner

__all__ = ["APPOTorchLearner"]
