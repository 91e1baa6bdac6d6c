"""What computes losses and takes steps."""

from __future__ import annotations

from typing import Any

_HOMES = {
    "Learner": "shoal.rllib.core.learner.learner",
    "LearnerGroup": "shoal.rllib.core.learner.learner_group",
    "TrainingData": "shoal.rllib.core.learner.training_data",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
