"""APPO's learner."""

from __future__ import annotations

from shoal.rllib.algorithms.appo.appo import APPOLearner

__all__ = ["APPOLearner"]
