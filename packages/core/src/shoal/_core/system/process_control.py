"""What a process can ask the kernel about itself (prctl), for want of it in the standard library."""

from __future__ import annotations

import ctypes
import functools
import os

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_LONGEST_NAME = 15


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
    return libc


def _prctl(option: int, argument: int | bytes) -> None:
    if _libc().prctl(option, argument, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}): {os.strerror(error)}")


def die_with_parent(signal_number: int, parent: int) -> bool:
    """Has the kernel send `signal_number` to this process when the thread that made it ends.

    Args:
        signal_number: the signal, e.g. SIGKILL.
        parent: process id of the parent, as it was known before.

    Returns:
        False where that parent is gone already: no signal will come, the caller should end by itself.
    """
    _prctl(_PR_SET_PDEATHSIG, signal_number)
    return os.getppid() == parent


def become_subreaper(wanted: bool = True) -> None:
    """Makes this process the new parent of all orphans among its descendants. Forked children do not inherit it."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(wanted))


def set_process_name(name: str) -> None:
    """Sets what `ps` and `top` show as the command of this process; the kernel keeps the first 15 bytes."""
    _prctl(_PR_SET_NAME, name.encode()[:_LONGEST_NAME])


def flush_c_streams() -> None:
    """Writes out what C code has printed with stdio; `os._exit` would drop it."""
    _libc().fflush(None)
