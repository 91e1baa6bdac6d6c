"""Predictions of a model of XGBoost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from shoal.train.checkpoint import Checkpoint
from shoal.train.predictor import PREDICTIONS, Predictor
from shoal.train.xgboost.xgboost_checkpoint import XGBoostCheckpoint

if TYPE_CHECKING:
    import pandas as pd


class XGBoostPredictor(Predictor):
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
        """Returns a predictor with the model of a checkpoint that XGBoostTrainer, or XGBoostCheckpoint, made."""
        return cls(XGBoostCheckpoint(checkpoint.path, checkpoint.filesystem).get_model())

    def _predict_pandas(self, data: pd.DataFrame, **kwargs: Any) -> pd.DataFrame:
        import pandas as pd
        import xgboost

        inputs = xgboost.DMatrix(data, enable_categorical=True)
        found = self.model.predict(inputs, **kwargs)
        return pd.DataFrame({PREDICTIONS: list(found) if found.ndim > 1 else found})
