"""Checkpoints that hold a model of LightGBM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shoal.train._internal.process.booster_folder import BoosterFolder

if TYPE_CHECKING:
    from lightgbm import Booster


class LightGBMCheckpoint(BoosterFolder["Booster"]):
    """A folder with a model in the file 'model.txt', as `RayTrainReportCallback` reports it.

    Example:
        >>> from shoal.train.lightgbm import LightGBMCheckpoint
        >>> def model_of(result):
        ...     return LightGBMCheckpoint.from_checkpoint(result.checkpoint).get_model()
    """

    MODEL_FILENAME = "model.txt"

    def _read(self, file: Path) -> Booster:
        from lightgbm import Booster

        return Booster(model_file=file)
