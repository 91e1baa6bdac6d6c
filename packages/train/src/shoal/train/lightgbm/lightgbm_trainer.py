"""Trains models of LightGBM in several workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from shoal.train._internal.process.boosting_trainer import BoostingTrainer
from shoal.train.checkpoint import Checkpoint
from shoal.train.configuration import RunConfig, ScalingConfig
from shoal.train.data_config import DataConfig
from shoal.train.lightgbm.lightgbm_config import LightGBMConfig
from shoal.train.lightgbm.report_callback import RayTrainReportCallback
from shoal.train.lightgbm.table_loop import LightGBMTableLoop
from shoal.train.reporting import ValidationConfig

if TYPE_CHECKING:
    from lightgbm import Booster


class LightGBMTrainer(BoostingTrainer):
    """Runs a training loop in each worker; `lightgbm.train` in it works on the rows of all workers together.

    Each worker gives `lightgbm.train` its own part of the rows and `**get_network_params()`, and all get the same model. Metrics are of a
    worker's own rows. Instead of a loop there may be `label_column`, `params`, `num_boost_round` and `datasets`: then the dataset 'train'
    is trained on, and all are evaluated on.

    Args:
        train_loop_per_worker: takes nothing, or the configuration; None where there is a `label_column`.
        train_loop_config: what it gets; a dict.
        lightgbm_config: of the network; there is nothing to choose.
        scaling_config: how many workers; None for one.
        run_config: name, storage, restarts, checkpoints.
        datasets: by name; each is divided among the workers.
        dataset_config: which of them are divided; None for all.
        validation_config: how checkpoints that are reported with `validation=` are validated.
        metadata: accepted for Ray's sake.
        resume_from_checkpoint: what to go on from at first.
        label_column: what is predicted; all other columns are features.
        params: as in `lightgbm.train`.
        num_boost_round: rounds; None for 10.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal.train import ScalingConfig
        >>> from shoal.train.lightgbm import LightGBMTrainer
        >>> def loop():
        ...     import lightgbm
        ...     # rows = lightgbm.Dataset(features_of_this_rank, label=labels_of_this_rank)
        ...     # lightgbm.train({**params, **get_network_params()}, rows, callbacks=[RayTrainReportCallback()])
        >>> trainer = LightGBMTrainer(loop, scaling_config=ScalingConfig(num_workers=2))
    """

    def __init__(
        self,
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any] | None = None,
        *,
        train_loop_config: Mapping[str, Any] | None = None,
        lightgbm_config: LightGBMConfig | None = None,
        scaling_config: ScalingConfig | None = None,
        run_config: RunConfig | None = None,
        datasets: Mapping[str, Any] | None = None,
        dataset_config: DataConfig | None = None,
        validation_config: ValidationConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        resume_from_checkpoint: Checkpoint | None = None,
        label_column: str | None = None,
        params: Mapping[str, Any] | None = None,
        num_boost_round: int | None = None,
    ) -> None:
        super().__init__(
            train_loop_per_worker,
            LightGBMTableLoop,
            lightgbm_config or LightGBMConfig(),
            train_loop_config=train_loop_config,
            scaling_config=scaling_config,
            run_config=run_config,
            datasets=datasets,
            dataset_config=dataset_config,
            validation_config=validation_config,
            metadata=metadata,
            resume_from_checkpoint=resume_from_checkpoint,
            label_column=label_column,
            params=params,
            num_boost_round=num_boost_round,
        )

    @classmethod
    def get_model(cls, checkpoint: Checkpoint) -> Booster:
        """Returns the model of a checkpoint that `RayTrainReportCallback` reported under its own name."""
        return RayTrainReportCallback.get_model(checkpoint)
