"""Applies a model of a checkpoint to batches of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from shoal.train.checkpoint import Checkpoint
from shoal.train.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PREDICTIONS = "predictions"
"""The column that predictors make."""


class Predictor(ABC):
    """Derive from it: `from_checkpoint` makes one, `_predict_pandas` or `_predict_numpy` predicts.

    Args:
        preprocessor: of shoal.data, that batches go through first; None for none.

    Example:
        >>> from shoal.train.predictor import Predictor
        >>> class Doubling(Predictor):
        ...     @classmethod
        ...     def from_checkpoint(cls, checkpoint):
        ...         return cls()
        ...
        ...     def _predict_numpy(self, data):
        ...         return {"predictions": data["x"] * 2}
        >>> import numpy as np
        >>> Doubling().predict({"x": np.array([1, 2])})["predictions"].tolist()
        [2, 4]
    """

    def __init__(self, preprocessor: Any = None) -> None:
        self._preprocessor = preprocessor

    @classmethod
    @abstractmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, **kwargs: Any) -> Self:
        """Returns a predictor with the checkpoint's model."""

    @classmethod
    def from_pandas_udf(cls, pandas_udf: Callable[[pd.DataFrame], pd.DataFrame]) -> Predictor:
        """Returns a predictor that is a function of frames."""
        return FunctionPredictor(pandas_udf)

    @classmethod
    def preferred_batch_format(cls) -> Literal["pandas", "numpy"]:
        """Returns 'pandas' or 'numpy': which of the two methods there is."""
        return "pandas" if cls._predict_pandas is not Predictor._predict_pandas else "numpy"

    def get_preprocessor(self) -> Any:
        """Returns it; None where there is none."""
        return self._preprocessor

    def set_preprocessor(self, preprocessor: Any) -> None:
        """Changes it."""
        self._preprocessor = preprocessor

    def predict(self, data: pd.DataFrame | Mapping[str, np.ndarray], **kwargs: Any) -> Any:
        """Returns predictions, one for each row, in the form in which the rows came: a frame, or a dict of arrays.

        Args:
            data: a batch.
            kwargs: of the predictor's own.

        Raises:
            InvalidArgumentError: (a ValueError) the batch is neither a frame nor a dict of arrays.
        """
        came_as_dict = isinstance(data, Mapping)
        if not came_as_dict and not hasattr(data, "columns"):
            raise InvalidArgumentError(f"data is a {type(data).__name__}; give a DataFrame, or a dict of arrays")
        if self._preprocessor is not None:
            data = self._preprocessor.transform_batch(data)
        if self.preferred_batch_format() == "pandas":
            found: Any = self._predict_pandas(_frame(data), **kwargs)
        else:
            found = self._predict_numpy(_arrays(data), **kwargs)
        return _arrays(found) if came_as_dict else _frame(found)

    def _predict_pandas(self, data: pd.DataFrame, **kwargs: Any) -> pd.DataFrame:
        raise NotImplementedError(f"{type(self).__name__} defines neither _predict_pandas nor _predict_numpy")

    def _predict_numpy(self, data: Mapping[str, np.ndarray], **kwargs: Any) -> Mapping[str, np.ndarray]:
        raise NotImplementedError(f"{type(self).__name__} defines neither _predict_pandas nor _predict_numpy")


class FunctionPredictor(Predictor):
    """A function of frames.

    Args:
        function: returns predictions for a frame.
    """

    def __init__(self, function: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        super().__init__()
        self._function = function

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint | None, **kwargs: Any) -> Self:
        """Returns one with the function `function=`; it needs no checkpoint."""
        return cls(kwargs["function"])

    def _predict_pandas(self, data: pd.DataFrame, **kwargs: Any) -> pd.DataFrame:
        return self._function(data)


def _frame(batch: Any) -> pd.DataFrame:
    import pandas as pd

    if isinstance(batch, pd.DataFrame):
        return batch
    return pd.DataFrame({name: list(column) if column.ndim > 1 else column for name, column in batch.items()})


def _arrays(batch: Any) -> dict[str, np.ndarray]:
    if isinstance(batch, Mapping):
        return dict(batch)
    return {str(name): batch[name].to_numpy() for name in batch.columns}
