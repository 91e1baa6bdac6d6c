"""As in Ray: `DataParallelTrainer` of the second generation, which is the only one here."""

from shoal.train.data_parallel_trainer import DataParallelTrainer

__all__ = ["DataParallelTrainer"]
