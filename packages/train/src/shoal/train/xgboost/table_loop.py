"""What XGBoostTrainer runs when it is given parameters instead of a loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shoal.train._internal.logic.table_arguments import TableArguments
from shoal.train._internal.process.shard_tables import features_and_labels
from shoal.train.configuration import TRAIN_DATASET_KEY
from shoal.train.context import get_checkpoint


@dataclass(frozen=True)
class XGBoostTableLoop:
    """Trains on the rows of the dataset 'train', evaluates on all datasets, and goes on from the run's checkpoint where there is one.

    Args:
        arguments: what is trained on, and how.
    """

    arguments: TableArguments

    def __call__(self, config: dict[str, Any]) -> None:
        import xgboost

        from shoal.train.xgboost.report_callback import RayTrainReportCallback

        arguments = self.arguments.varied(config)
        checkpoint = get_checkpoint()
        start = RayTrainReportCallback.get_model(checkpoint) if checkpoint is not None else None
        left = arguments.num_boost_round - (start.num_boosted_rounds() if start is not None else 0)
        if left <= 0:
            return
        matrices = {}
        for name in arguments.datasets:
            features, labels = features_and_labels(name, arguments.label_column)
            matrices[name] = xgboost.DMatrix(features, label=labels)
        report = RayTrainReportCallback(
            frequency=arguments.checkpoint_frequency, checkpoint_at_end=arguments.checkpoint_at_end
        )
        xgboost.train(
            dict(arguments.params),
            matrices[TRAIN_DATASET_KEY],
            num_boost_round=left,
            evals=[(matrix, name) for name, matrix in matrices.items()],
            callbacks=[report],
            xgb_model=start,
            verbose_eval=False,
        )
