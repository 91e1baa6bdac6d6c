"""DQN's learner, and names of what it reports."""

from __future__ import annotations

from shoal.rllib.algorithms.dqn.dqn import (
    QF_LOSS_KEY,
    QF_MAX_KEY,
    QF_MEAN_KEY,
    QF_MIN_KEY,
    TD_ERROR_MEAN_KEY,
    DQNLearner,
)
from shoal.rllib.core.rl_module.torch.default_q_rl_module import QF_LOGITS, QF_PREDS, QF_PROBS

__all__ = [
    "QF_LOGITS",
    "QF_LOSS_KEY",
    "QF_MAX_KEY",
    "QF_MEAN_KEY",
    "QF_MIN_KEY",
    "QF_PREDS",
    "QF_PROBS",
    "TD_ERROR_MEAN_KEY",
    "DQNLearner",
]
