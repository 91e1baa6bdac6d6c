"""Predictions of a model of LightGBM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from shoal.train.checkpoint import Checkpoint
from shoal.train.lightgbm.lightgbm_checkpoint import LightGBMCheckpoint
from shoal.train.predictor import PREDICTIONS, Predictor

if TYPE_CHECKING:
    import pandas as pd


class LightGBMPredictor(Predictor):
    """Gives a model the frame.

    Args:
        model: a Booster.
        preprocessor: that batches go through first; None for none.
    """

    def __init__(self, model: Any, preprocessor: Any = None) -> None:
        super().__init__(preprocessor)
        self.model = model

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, **kwargs: Any) -> Self:
        """Returns a predictor with the model of a checkpoint that LightGBMTrainer, or LightGBMCheckpoint, made."""
        return cls(LightGBMCheckpoint(checkpoint.path, checkpoint.filesystem).get_model())

    def _predict_pandas(self, data: pd.DataFrame, **kwargs: Any) -> pd.DataFrame:
        import numpy as np
        import pandas as pd

        found = np.asarray(self.model.predict(data, **kwargs))
        return pd.DataFrame({PREDICTIONS: list(found) if found.ndim > 1 else found})
