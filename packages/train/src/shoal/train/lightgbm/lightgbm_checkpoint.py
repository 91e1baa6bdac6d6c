"""Checkpoints that hold a model of LightGBM."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from shoal.train._internal.process.model_folder import ModelFolder

if TYPE_CHECKING:
    from lightgbm import Booster


class LightGBMCheckpoint(ModelFolder):
    """A folder with a model in the file 'model.txt', as `RayTrainReportCallback` reports it.

    Example:
        >>> from shoal.train.lightgbm import LightGBMCheckpoint
        >>> def model_of(result):
        ...     return LightGBMCheckpoint.from_checkpoint(result.checkpoint).get_model()
    """

    MODEL_FILENAME = "model.txt"

    @classmethod
    def from_model(
        cls, booster: Booster, *, path: str | os.PathLike[str] | None = None, preprocessor: Any = None
    ) -> Self:
        """Writes a model to a folder, and returns the checkpoint that the folder is.

        Args:
            booster: the model.
            path: of a local folder, which is made where it is not there; None for a new temporary one, which stays.
            preprocessor: accepted for Ray's sake, and not stored.

        Raises:
            OSError: the folder could not be made.
        """
        checkpoint, file = cls.made(path)
        booster.save_model(file)
        return checkpoint

    def get_model(self) -> Booster:
        """Returns the model.

        Raises:
            InvalidArgumentError: (a ValueError) there is none in the folder.
        """
        from lightgbm import Booster

        with self.model_file() as file:
            return Booster(model_file=file)
