"""scikit-learn: an estimator is fitted in one worker, and scored. Importing this does not import sklearn."""

from shoal.train.sklearn.sklearn_checkpoint import SklearnCheckpoint
from shoal.train.sklearn.sklearn_predictor import SklearnPredictor
from shoal.train.sklearn.sklearn_trainer import SklearnTrainer

__all__ = [
    "SklearnCheckpoint",
    "SklearnPredictor",
    "SklearnTrainer",
]
