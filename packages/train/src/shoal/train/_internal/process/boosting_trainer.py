"""What trainers of boosted trees share: instead of a loop they may be given the parameters of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shoal.train._internal.logic.table_arguments import TableArguments, chosen_loop, varied_config
from shoal.train.backend import BackendConfig
from shoal.train.checkpoint import Checkpoint
from shoal.train.configuration import RunConfig, ScalingConfig
from shoal.train.data_config import DataConfig
from shoal.train.data_parallel_trainer import DataParallelTrainer
from shoal.train.reporting import ValidationConfig


class BoostingTrainer(DataParallelTrainer):
    """Runs a loop, or the library's own with the arguments that it is given. Derive from it; arguments as in `DataParallelTrainer`, and

    Args:
        table_loop: makes the loop, of the arguments that stand instead of one.
        label_column: what is predicted; all other columns are features.
        params: as the library takes them.
        num_boost_round: rounds; None for 10.
    """

    def __init__(
        self,
        train_loop_per_worker: Callable[..., Any] | None,
        table_loop: Callable[[TableArguments], Callable[..., Any]],
        backend_config: BackendConfig,
        *,
        train_loop_config: Mapping[str, Any] | None,
        scaling_config: ScalingConfig | None,
        run_config: RunConfig | None,
        datasets: Mapping[str, Any] | None,
        dataset_config: DataConfig | None,
        validation_config: ValidationConfig | None,
        metadata: Mapping[str, Any] | None,
        resume_from_checkpoint: Checkpoint | None,
        label_column: str | None,
        params: Mapping[str, Any] | None,
        num_boost_round: int | None,
    ) -> None:
        super().__init__(
            chosen_loop(train_loop_per_worker, table_loop, label_column, params, num_boost_round, datasets, run_config),
            train_loop_config=train_loop_config,
            backend_config=backend_config,
            scaling_config=scaling_config,
            run_config=run_config,
            datasets=datasets,
            dataset_config=dataset_config,
            validation_config=validation_config,
            metadata=metadata,
            resume_from_checkpoint=resume_from_checkpoint,
        )

    def as_trainable(self) -> Callable[[Mapping[str, Any]], dict[str, Any] | None]:
        """Returns a function for a search, as `DataParallelTrainer.as_trainable` says. Where there is no loop, its argument may also have
        `params`, which are put over the trainer's, and `num_boost_round`."""
        train = super().as_trainable()
        return lambda config: train(varied_config(config))
