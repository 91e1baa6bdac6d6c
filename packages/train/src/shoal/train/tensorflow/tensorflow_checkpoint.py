"""Checkpoints that hold a model of Keras."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from shoal.train._internal.process.model_folder import ModelFolder

if TYPE_CHECKING:
    import tensorflow as tf


class TensorflowCheckpoint(ModelFolder):
    """A folder with a model in the file 'model.keras', as `ReportCheckpointCallback` reports it.

    Example:
        >>> from shoal.train.tensorflow import TensorflowCheckpoint
        >>> def model_of(result):
        ...     return TensorflowCheckpoint.from_checkpoint(result.checkpoint).get_model()
    """

    MODEL_FILENAME = "model.keras"

    @classmethod
    def from_model(
        cls, model: tf.keras.Model, *, path: str | os.PathLike[str] | None = None, preprocessor: Any = None
    ) -> Self:
        """Writes a model to a folder, and returns the checkpoint that the folder is.

        Args:
            model: the model.
            path: of a local folder, which is made where it is not there; None for a new temporary one, which stays.
            preprocessor: accepted for Ray's sake, and not stored.

        Raises:
            OSError: the folder could not be made.
        """
        checkpoint, file = cls.made(path)
        model.save(str(file))
        return checkpoint

    def get_model(self) -> tf.keras.Model:
        """Returns the model.

        Raises:
            InvalidArgumentError: (a ValueError) there is none in the folder.
        """
        import tensorflow as tf

        with self.model_file() as file:
            return tf.keras.models.load_model(str(file))
