"""What LightGBMTrainer runs when it is given parameters instead of a loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shoal.train._internal.logic.table_arguments import TableArguments
from shoal.train._internal.process.shard_tables import features_and_labels
from shoal.train.configuration import TRAIN_DATASET_KEY
from shoal.train.context import get_checkpoint
from shoal.train.lightgbm.network import get_network_params
from shoal.train.lightgbm.normalization import normalize_pandas_for_lightgbm
from shoal.train.lightgbm.report_callback import RayTrainReportCallback


@dataclass(frozen=True)
class LightGBMTableLoop:
    """Trains on the rows of the dataset 'train', evaluates on all datasets, and goes on from the run's checkpoint where there is one.

    Args:
        arguments: what is trained on, and how.
    """

    arguments: TableArguments

    def __call__(self, config: dict[str, Any]) -> None:
        import lightgbm

        arguments = self.arguments.varied(config)
        checkpoint = get_checkpoint()
        start = RayTrainReportCallback.get_model(checkpoint) if checkpoint is not None else None
        left = arguments.num_boost_round - (start.current_iteration() if start is not None else 0)
        if left <= 0:
            return
        sets: dict[str, Any] = {}
        # The others take the bins of the rows that are trained on.
        for name in sorted(arguments.datasets, key=lambda name: name != TRAIN_DATASET_KEY):
            features, labels = features_and_labels(name, arguments.label_column)
            reference = sets.get(TRAIN_DATASET_KEY)
            sets[name] = lightgbm.Dataset(normalize_pandas_for_lightgbm(features), label=labels, reference=reference)
        report = RayTrainReportCallback(
            frequency=arguments.checkpoint_frequency, checkpoint_at_end=arguments.checkpoint_at_end
        )
        lightgbm.train(
            get_network_params() | dict(arguments.params),
            sets[TRAIN_DATASET_KEY],
            num_boost_round=left,
            valid_sets=list(sets.values()),
            valid_names=list(sets),
            init_model=start,
            callbacks=[report],
        )
