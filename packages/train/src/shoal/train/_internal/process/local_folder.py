"""The local folder of a checkpoint while it is stored: the user's, or one that was taken over so that the user may go on."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid

from pyarrow import fs

from shoal.train.checkpoint import Checkpoint


class LocalFolder:
    """A folder.

    Args:
        path: of it.
        is_own: the user has it no more: it may be moved from, and goes with `close`.
    """

    def __init__(self, path: str, is_own: bool = False) -> None:
        self.path = path
        self.is_own = is_own

    @staticmethod
    def of(checkpoint: Checkpoint) -> LocalFolder | None:
        """Returns None where the checkpoint is elsewhere. Raises FileNotFoundError where it is not there."""
        if not isinstance(checkpoint.filesystem, fs.LocalFileSystem):
            return None
        if not os.path.isdir(checkpoint.path):
            raise FileNotFoundError(f"the checkpoint's folder {checkpoint.path!r} is not there")
        return LocalFolder(checkpoint.path)

    def taken_over(self) -> LocalFolder:
        """Takes the files away from the user, at once: by another name beside it."""
        new = os.path.join(os.path.dirname(os.path.abspath(self.path)), f".storing-{uuid.uuid4().hex}")
        try:
            os.rename(self.path, new)
        except OSError:
            # Its parent cannot be written to, or it is a mount.
            copy = self.copied()
            shutil.rmtree(self.path, ignore_errors=True)
            return copy
        return LocalFolder(new, is_own=True)

    def copied(self) -> LocalFolder:
        """Copies the files, which the user may change from now on. Raises OSError."""
        new = tempfile.mkdtemp(prefix="shoal-storing-")
        try:
            shutil.copytree(self.path, new, dirs_exist_ok=True)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        return LocalFolder(new, is_own=True)

    def close(self) -> None:
        """It is stored, or cannot be."""
        if self.is_own:
            shutil.rmtree(self.path, ignore_errors=True)

    def remove(self) -> None:
        """Removes it: it was given away."""
        shutil.rmtree(self.path, ignore_errors=True)
