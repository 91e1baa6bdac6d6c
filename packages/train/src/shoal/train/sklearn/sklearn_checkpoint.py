"""Checkpoints that hold an estimator."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from shoal import cloudpickle
from shoal.train._internal.process.model_folder import ModelFolder

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


class SklearnCheckpoint(ModelFolder):
    """A folder with an estimator in the file 'model.pkl', pickled. Read only what you trust: unpickling runs code.

    Example:
        >>> from sklearn.linear_model import LinearRegression
        >>> from shoal.train.sklearn import SklearnCheckpoint
        >>> model = LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
        >>> SklearnCheckpoint.from_estimator(model).get_estimator().predict([[2.0]]).round(6).tolist()
        [5.0]
    """

    MODEL_FILENAME = "model.pkl"

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, *, path: str | os.PathLike[str] | None = None, preprocessor: Any = None
    ) -> Self:
        """Writes an estimator to a folder, and returns the checkpoint that the folder is.

        Args:
            estimator: fitted, or not.
            path: of a local folder, which is made where it is not there; None for a new temporary one, which stays.
            preprocessor: accepted for Ray's sake, and not stored.

        Raises:
            OSError: the file could not be written.
        """
        checkpoint, file = cls.made(path)
        # An estimator may hold functions of the program that made it, which pickle alone cannot carry.
        file.write_bytes(cloudpickle.dumps(estimator))
        return checkpoint

    def get_estimator(self) -> Any:
        """Returns the estimator.

        Raises:
            InvalidArgumentError: (a ValueError) there is no estimator in the folder.
        """
        with self.model_file() as file:
            return cloudpickle.loads(file.read_bytes())
