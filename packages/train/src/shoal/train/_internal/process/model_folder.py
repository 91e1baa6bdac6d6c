"""What checkpoints of one framework's models share: a folder with the model in one file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Self

from shoal.train.checkpoint import Checkpoint
from shoal.train.exceptions import InvalidArgumentError


class ModelFolder(Checkpoint):
    """A checkpoint with a model in a file of a known name."""

    MODEL_FILENAME: ClassVar[str]

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> Self:
        """Returns a checkpoint, as of a result, as one of this class."""
        return cls(checkpoint.path, checkpoint.filesystem)

    @classmethod
    def made(cls, path: str | os.PathLike[str] | None) -> tuple[Self, Path]:
        """Makes the folder, and returns its checkpoint and where the model goes.

        Args:
            path: of the folder; None for a new temporary one, which stays.

        Raises:
            OSError: it could not be made.
        """
        folder = Path(path) if path is not None else Path(tempfile.mkdtemp(prefix="shoal-model-"))
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder), folder / cls.MODEL_FILENAME

    @contextmanager
    def model_file(self) -> Iterator[Path]:
        """Gives a local path of the model. Raises InvalidArgumentError where there is none."""
        with self.as_directory() as folder:
            file = Path(folder) / self.MODEL_FILENAME
            if not file.is_file():
                raise InvalidArgumentError(
                    f"{self!r} has no file {self.MODEL_FILENAME!r}; give one that {type(self).__name__} or its trainer made"
                )
            yield file
