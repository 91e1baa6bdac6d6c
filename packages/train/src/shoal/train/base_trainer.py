"""Ray's other path of `BaseTrainer`: not offered."""

from shoal.train.trainer import BaseTrainer

__all__ = ["BaseTrainer"]
