"""SAC's learner, and names of what it reports."""

from __future__ import annotations

from shoal.rllib.algorithms.sac.sac import (
    LOGPS_KEY,
    QF_LOSS_KEY,
    QF_MAX_KEY,
    QF_MEAN_KEY,
    QF_MIN_KEY,
    TD_ERROR_MEAN_KEY,
    SACLearner,
)

__all__ = ["LOGPS_KEY", "QF_LOSS_KEY", "QF_MAX_KEY", "QF_MEAN_KEY", "QF_MIN_KEY", "TD_ERROR_MEAN_KEY", "SACLearner"]
