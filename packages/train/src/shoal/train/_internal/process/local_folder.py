"""The local folder of a checkpoint while it is stored: the user's, or one that was taken over so that the user may go on."""

from __future__ import annotations

import os
import shutil

from pyarrow import fs

from shoal.train._internal.process.staging import Staging
from shoal.train.checkpoint import Checkpoint


class LocalFolder:
    """A folder.

    Args:
        path: of it.
        staging: where it waits, if the user has it no more: it may be moved from, and goes with `close`.
    """

    def __init__(self, path: str, staging: Staging | None = None) -> None:
        self.path = path
        self._staging = staging

    @staticmethod
    def of(checkpoint: Checkpoint) -> LocalFolder | None:
        """Returns None where the checkpoint is elsewhere. Raises FileNotFoundError where it is not there."""
        if not isinstance(checkpoint.filesystem, fs.LocalFileSystem):
            return None
        if not os.path.isdir(checkpoint.path):
            raise FileNotFoundError(f"the checkpoint's folder {checkpoint.path!r} is not there")
        return LocalFolder(checkpoint.path)

    @property
    def is_own(self) -> bool:
        """Whether the user has it no more."""
        return self._staging is not None

    def taken_over(self, staging: Staging) -> LocalFolder:
        """Takes the files away from the user, at once. Raises OSError."""
        taken = staging.taken(self.path)
        if taken is None:
            copy = self.copied(staging)
            shutil.rmtree(self.path, ignore_errors=True)
            return copy
        return LocalFolder(taken, staging)

    def copied(self, staging: Staging) -> LocalFolder:
        """Copies the files, which the user may change from now on. Raises OSError."""
        return LocalFolder(staging.copied(self.path), staging)

    def close(self) -> None:
        """It is stored, or cannot be."""
        if self._staging is not None:
            self._staging.done(self.path)

    def remove(self) -> None:
        """Removes it: it was given away."""
        shutil.rmtree(self.path, ignore_errors=True)
