"""Checkpoints that hold a model of Keras."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Self

from shoal.train.checkpoint import Checkpoint
from shoal.train.exceptions import InvalidArgumentError


class TensorflowCheckpoint(Checkpoint):
    """A folder with a model in the file 'model.keras'."""

    MODEL_FILENAME = "model.keras"

    @classmethod
    def from_model(cls, model: Any, *, preprocessor: Any = None) -> Self:
        """Writes a model to a new temporary folder, which stays. Raises OSError.

        Args:
            model: of Keras.
            preprocessor: accepted for Ray's sake, and not stored.
        """
        folder = Path(tempfile.mkdtemp(prefix="shoal-tensorflow-"))
        model.save(folder / cls.MODEL_FILENAME)
        return cls(folder)

    def get_model(self) -> Any:
        """Returns the model. Raises InvalidArgumentError where there is none in the folder."""
        import tensorflow

        with self.as_directory() as folder:
            path = Path(folder) / self.MODEL_FILENAME
            if not path.exists():
                raise InvalidArgumentError(f"{self!r} has no file {self.MODEL_FILENAME!r}, which from_model writes")
            return tensorflow.keras.models.load_model(path)
