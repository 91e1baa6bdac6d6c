"""One local copy of a remote checkpoint for all processes of a machine that read it at the same time.

Two locks that the kernel gives back when a process dies, whatever it died of: who holds `.lock` may fill or remove the copy, who holds
`.use` reads it. The last reader removes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def shared_download(key: str, fill: Callable[[str], object]) -> Iterator[str]:
    """Gives a folder that `fill` has filled, in this process or in another one that reads it now.

    Args:
        key: the same for the same content.
        fill: writes into a folder that is there and empty. What it raises is raised.
    """
    base = os.path.join(_home(), hashlib.sha256(key.encode()).hexdigest()[:32])
    with _locked(f"{base}.lock"):
        reading = os.open(f"{base}.use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not os.path.exists(f"{base}.whole"):
                shutil.rmtree(base, ignore_errors=True)
                os.mkdir(base)
                fill(base)
                open(f"{base}.whole", "w").close()
            fcntl.flock(reading, fcntl.LOCK_SH)
        except BaseException:
            os.close(reading)
            shutil.rmtree(base, ignore_errors=True)
            raise
    try:
        yield base
    finally:
        with _locked(f"{base}.lock"):
            if _is_last(reading):
                shutil.rmtree(base, ignore_errors=True)
                for ending in (".whole", ".use", ".lock"):
                    if os.path.exists(base + ending):
                        os.remove(base + ending)
            os.close(reading)


def _home() -> str:
    """This user's folder, which nobody else may write into."""
    home = os.path.join(tempfile.gettempdir(), f"shoal-checkpoints-{os.getuid()}")
    os.makedirs(home, mode=0o700, exist_ok=True)
    if os.stat(home).st_uid != os.getuid():
        raise PermissionError(f"{home} belongs to another user; remove it, or set TMPDIR to a folder of your own")
    return home


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Holds the lock. Who had it before may have removed the file: then what is locked is no longer the one that others will open."""
    while True:
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            if os.path.exists(path) and os.path.samestat(os.fstat(held), os.stat(path)):
                yield
                return
        finally:
            os.close(held)


def _is_last(reading: int) -> bool:
    try:
        fcntl.flock(reading, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
