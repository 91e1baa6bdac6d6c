"""The folder of one session: logs, spilled objects, and a lock that says whether its daemon lives.

Folders whose lock nobody holds are left over from a machine where everything was killed at once; the next `init` removes them.
"""

from __future__ import annotations

import fcntl
import os
import time

PREFIX = "session_"
LOCK_NAME = "lock"


def sessions_root() -> str:
    """Returns the folder that holds all sessions of this user: $SHOAL_TMPDIR, or shoal-<uid> in the temporary directory."""
    return os.environ.get("SHOAL_TMPDIR") or os.path.join(os.environ.get("TMPDIR") or "/tmp", f"shoal-{os.getuid()}")


class SessionFolder:
    """A session's folder, held by an open lock file for as long as the descriptor lives."""

    def __init__(self, path: str, lock_fd: int) -> None:
        self.path = path
        self.lock_fd = lock_fd

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    @property
    def logs(self) -> str:
        return os.path.join(self.path, "logs")

    @classmethod
    def create(cls, root: str | None = None) -> SessionFolder:
        """Makes a new folder, readable by its user only, and locks it. Raises OSError."""
        root = root or sessions_root()
        os.makedirs(root, mode=0o700, exist_ok=True)
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        path = os.path.join(root, f"{PREFIX}{stamp}_{os.getpid()}_{os.urandom(4).hex()}")
        os.makedirs(os.path.join(path, "logs"), mode=0o700)
        lock_fd = os.open(os.path.join(path, LOCK_NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        return cls(path, lock_fd)

    def remove(self) -> None:
        """Deletes the folder with all that is in it."""
        _delete(self.path)
        os.close(self.lock_fd)


def is_alive(path: str) -> bool:
    """True if a daemon (or a driver that is starting one) holds the folder's lock."""
    try:
        fd = os.open(os.path.join(path, LOCK_NAME), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def living_sessions(root: str | None = None) -> list[str]:
    """Returns the folders of sessions that run, newest first."""
    root = root or sessions_root()
    try:
        names = sorted((name for name in os.listdir(root) if name.startswith(PREFIX)), reverse=True)
    except FileNotFoundError:
        return []
    return [path for path in (os.path.join(root, name) for name in names) if is_alive(path)]


def remove_dead_sessions(root: str | None = None, older_than: float = 60.0) -> None:
    """Deletes folders that no living process holds (and that are not just being made)."""
    root = root or sessions_root()
    try:
        names = os.listdir(root)
    except FileNotFoundError:
        return
    for name in names:
        path = os.path.join(root, name)
        if not name.startswith(PREFIX) or is_alive(path):
            continue
        try:
            age = time.time() - os.stat(path).st_mtime
        except FileNotFoundError:
            continue
        if age >= older_than or os.path.exists(os.path.join(path, LOCK_NAME)):
            _delete(path)


def _delete(path: str) -> None:
    # Not needed at the start of most sessions, which should be fast.
    import shutil

    shutil.rmtree(path, ignore_errors=True)
