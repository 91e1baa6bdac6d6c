"""Checkpoints that hold a model of XGBoost."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from shoal.train.checkpoint import Checkpoint
from shoal.train.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    import xgboost


class XGBoostCheckpoint(Checkpoint):
    """A folder with a model in the file 'model.ubj', as the trainer's report callback writes it."""

    MODEL_FILENAME = "model.ubj"

    @classmethod
    def from_model(cls, booster: xgboost.Booster, *, preprocessor: Any = None) -> Self:
        """Writes a model to a new temporary folder, which stays. Raises OSError.

        Args:
            booster: the model.
            preprocessor: accepted for Ray's sake, and not stored.
        """
        folder = Path(tempfile.mkdtemp(prefix="shoal-xgboost-"))
        booster.save_model(str(folder / cls.MODEL_FILENAME))
        return cls(folder)

    def get_model(self) -> xgboost.Booster:
        """Returns the model. Raises InvalidArgumentError where there is none in the folder."""
        import xgboost

        with self.as_directory() as folder:
            path = Path(folder) / self.MODEL_FILENAME
            if not path.exists():
                raise InvalidArgumentError(
                    f"{self!r} has no file {self.MODEL_FILENAME!r}; give one that XGBoostTrainer made"
                )
            booster = xgboost.Booster()
            booster.load_model(str(path))
            return booster
