"""What checkpoints of boosted trees share: their models write themselves to a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from shoal.train._internal.process.model_folder import ModelFolder


class _Saves(Protocol):
    def save_model(self, filename: Any, /) -> object: ...


Booster = TypeVar("Booster", bound=_Saves)


class BoosterFolder(ModelFolder, Generic[Booster]):
    """A checkpoint with a Booster in a file of a known name. Derive from it: `MODEL_FILENAME` and `_read`."""

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
        with self.model_file() as file:
            return self._read(file)

    def _read(self, file: Path) -> Booster:
        raise NotImplementedError
