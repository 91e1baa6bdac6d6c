"""What XGBoostTrainer runs when it is given parameters instead of a loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shoal.train.configuration import TRAIN_DATASET_KEY
from shoal.train.context import get_checkpoint, get_dataset_shard


@dataclass(frozen=True)
class XGBoostTableLoop:
    """Trains on the rows of the dataset 'train', evaluates on all datasets, and goes on from the run's checkpoint where there is one.

    Args:
        label_column: what is predicted; all other columns are features.
        params: as in `xgboost.train`.
        num_boost_round: rounds in all.
        datasets: the names of the trainer's.
    """

    label_column: str
    params: Mapping[str, Any]
    num_boost_round: int
    datasets: tuple[str, ...]

    def __call__(self) -> None:
        import xgboost

        from shoal.train.xgboost.report_callback import RayTrainReportCallback

        checkpoint = get_checkpoint()
        start = RayTrainReportCallback.get_model(checkpoint) if checkpoint is not None else None
        done = start.num_boosted_rounds() if start is not None else 0
        matrices = {name: self._matrix(name) for name in self.datasets}
        xgboost.train(
            dict(self.params),
            matrices[TRAIN_DATASET_KEY],
            num_boost_round=max(0, self.num_boost_round - done),
            evals=[(matrix, name) for name, matrix in matrices.items()],
            callbacks=[RayTrainReportCallback()],
            xgb_model=start,
            verbose_eval=False,
        )

    def _matrix(self, name: str) -> Any:
        import xgboost

        table = get_dataset_shard(name).materialize().to_pandas()
        return xgboost.DMatrix(table.drop(columns=[self.label_column]), label=table[self.label_column])
