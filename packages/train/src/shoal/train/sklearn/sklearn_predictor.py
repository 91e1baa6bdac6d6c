"""Predictions of an estimator of scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from shoal.train.checkpoint import Checkpoint
from shoal.train.predictor import PREDICTIONS, Predictor
from shoal.train.sklearn.sklearn_checkpoint import SklearnCheckpoint

if TYPE_CHECKING:
    import pandas as pd


class SklearnPredictor(Predictor):
    """Gives an estimator the frame.

    Args:
        estimator: fitted.
        preprocessor: that batches go through first; None for none.
    """

    def __init__(self, estimator: Any, preprocessor: Any = None) -> None:
        super().__init__(preprocessor)
        self.estimator = estimator

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, **kwargs: Any) -> Self:
        """Returns a predictor with the estimator of a checkpoint that SklearnTrainer, or SklearnCheckpoint, made."""
        return cls(SklearnCheckpoint.from_checkpoint(checkpoint).get_estimator())

    def _predict_pandas(self, data: pd.DataFrame, **kwargs: Any) -> pd.DataFrame:
        import pandas as pd

        found = self.estimator.predict(data, **kwargs)
        return pd.DataFrame({PREDICTIONS: list(found) if found.ndim > 1 else found})
