"""What LightGBMTrainer runs when it is given parameters instead of a loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shoal.train.configuration import TRAIN_DATASET_KEY
from shoal.train.context import get_checkpoint, get_dataset_shard
from shoal.train.lightgbm.network import get_network_params
from shoal.train.lightgbm.normalization import normalize_pandas_for_lightgbm
from shoal.train.lightgbm.report_callback import RayTrainReportCallback


@dataclass(frozen=True)
class LightGBMTableLoop:
    """Trains on the rows of the dataset 'train', evaluates on all datasets, and goes on from the run's checkpoint where there is one.

    Args:
        label_column: what is predicted; all other columns are features.
        params: as in `lightgbm.train`.
        num_boost_round: rounds in all.
        datasets: the names of the trainer's.
    """

    label_column: str
    params: Mapping[str, Any]
    num_boost_round: int
    datasets: tuple[str, ...]

    def __call__(self) -> None:
        import lightgbm

        checkpoint = get_checkpoint()
        start = RayTrainReportCallback.get_model(checkpoint) if checkpoint is not None else None
        done = start.current_iteration() if start is not None else 0
        if done >= self.num_boost_round:
            return
        train_set = self._dataset(TRAIN_DATASET_KEY, None)
        sets = {
            name: train_set if name == TRAIN_DATASET_KEY else self._dataset(name, train_set) for name in self.datasets
        }
        lightgbm.train(
            get_network_params() | dict(self.params),
            train_set,
            num_boost_round=self.num_boost_round - done,
            valid_sets=list(sets.values()),
            valid_names=list(sets),
            init_model=start,
            callbacks=[RayTrainReportCallback()],
        )

    def _dataset(self, name: str, reference: Any) -> Any:
        import lightgbm

        table = get_dataset_shard(name).materialize().to_pandas()
        features = normalize_pandas_for_lightgbm(table.drop(columns=[self.label_column]))
        return lightgbm.Dataset(features, label=table[self.label_column], reference=reference)
