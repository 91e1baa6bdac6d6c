"""Where checkpoints wait on this machine while they are stored behind the loop: a place that the run finds again, so that a process that
was killed leaves nothing for good.

The place is a folder of the run's among the temporary ones. What could not be moved there, because it is on another file system, stays
beside where it was, and a note in the place says so.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import uuid
from pathlib import Path


class Staging:
    """That of one run.

    Args:
        run: what no other run has: where it is stored.
    """

    def __init__(self, run: str) -> None:
        name = hashlib.sha256(run.encode()).hexdigest()[:16]
        self.path = os.path.join(tempfile.gettempdir(), f"shoal-storing-{os.getuid()}-{name}")

    def taken(self, folder: str) -> str | None:
        """Takes a folder away from where it is, at once. Returns where it is now; None where it cannot be renamed.

        Raises:
            OSError: there is no room for a note.
        """
        self._make()
        name = uuid.uuid4().hex
        inside = os.path.join(self.path, name)
        try:
            os.rename(folder, inside)
        except OSError:
            beside = os.path.join(os.path.dirname(os.path.abspath(folder)), f".storing-{name}")
            note = Path(f"{inside}.note")
            note.write_text(beside)
            try:
                os.rename(folder, beside)
            except OSError:  # its parent cannot be written to, or it is a mount
                note.unlink()
                return None
            return beside
        return inside

    def copied(self, folder: str) -> str:
        """Copies a folder, and returns where the copy is. Raises OSError."""
        self._make()
        inside = os.path.join(self.path, uuid.uuid4().hex)
        try:
            shutil.copytree(folder, inside)
        except BaseException:
            shutil.rmtree(inside, ignore_errors=True)
            raise
        return inside

    def done(self, folder: str) -> None:
        """What was taken or copied is not needed any more."""
        shutil.rmtree(folder, ignore_errors=True)
        if os.path.dirname(folder) != self.path:
            Path(self.path, f"{os.path.basename(folder).removeprefix('.storing-')}.note").unlink(missing_ok=True)

    def clear(self) -> None:
        """Removes what processes have left that are not there any more. Nobody of the run stores anything meanwhile."""
        if not self._is_ours():
            return
        for note in Path(self.path).glob("*.note"):
            shutil.rmtree(note.read_text(), ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def _make(self) -> None:
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        if not self._is_ours():
            raise PermissionError(f"{self.path} belongs to another user; set TMPDIR to a folder of your own")

    def _is_ours(self) -> bool:
        try:
            return os.lstat(self.path).st_uid == os.getuid() and not os.path.islink(self.path)
        except FileNotFoundError:
            return False
