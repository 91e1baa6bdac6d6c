"""Checkpoints that hold a model of LightGBM."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from shoal.train.checkpoint import Checkpoint
from shoal.train.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    import lightgbm


class LightGBMCheckpoint(Checkpoint):
    """A folder with a model in the file 'model.txt', as the trainer's report callback writes it."""

    MODEL_FILENAME = "model.txt"

    @classmethod
    def from_model(cls, booster: lightgbm.Booster, *, preprocessor: Any = None) -> Self:
        """Writes a model to a new temporary folder, which stays. Raises OSError.

        Args:
            booster: the model.
            preprocessor: accepted for Ray's sake, and not stored.
        """
        folder = Path(tempfile.mkdtemp(prefix="shoal-lightgbm-"))
        booster.save_model(str(folder / cls.MODEL_FILENAME))
        return cls(folder)

    def get_model(self) -> lightgbm.Booster:
        """Returns the model. Raises InvalidArgumentError where there is none in the folder."""
        import lightgbm

        with self.as_directory() as folder:
            path = Path(folder) / self.MODEL_FILENAME
            if not path.exists():
                raise InvalidArgumentError(
                    f"{self!r} has no file {self.MODEL_FILENAME!r}; give one that LightGBMTrainer made"
                )
            return lightgbm.Booster(model_file=str(path))
