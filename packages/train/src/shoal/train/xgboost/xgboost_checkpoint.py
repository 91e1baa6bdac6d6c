"""Checkpoints that hold a model of XGBoost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shoal.train._internal.process.booster_folder import BoosterFolder

if TYPE_CHECKING:
    from xgboost import Booster


class XGBoostCheckpoint(BoosterFolder["Booster"]):
    """A folder with a model in the file 'model.ubj', as `RayTrainReportCallback` reports it.

    Example:
        >>> from shoal.train.xgboost import XGBoostCheckpoint
        >>> def model_of(result):
        ...     return XGBoostCheckpoint.from_checkpoint(result.checkpoint).get_model()
    """

    MODEL_FILENAME = "model.ubj"

    def _read(self, file: Path) -> Booster:
        from xgboost import Booster

        return Booster(model_file=file)
