"""Ray's first generation of trainers: not offered."""

from shoal.train._internal.unsupported import unsupported

BaseTrainer = unsupported(
    "BaseTrainer",
    "subclass shoal.train.data_parallel_trainer.DataParallelTrainer, or write a training loop for it",
)

__all__ = ["BaseTrainer"]
