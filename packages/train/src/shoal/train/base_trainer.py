"""Ray's other path of `BaseTrainer`, which is not offered, and of what `fit` raises."""

from shoal.train.exceptions import TrainingFailedError
from shoal.train.trainer import BaseTrainer

__all__ = ["BaseTrainer", "TrainingFailedError"]
