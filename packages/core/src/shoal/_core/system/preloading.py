"""Importing modules into a process that will be forked, and seeing whether it may still be forked afterwards."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def import_module(name: str) -> str:
    """Imports a module.

    Returns:
        Why it could not be imported; '' where it was.
    """
    try:
        with _no_threads_at_import():
            importlib.import_module(name)
    except BaseException as error:
        # A module may raise anything while it is imported, SystemExit too, and none of it may end the fork server.
        return f"importing it raised {type(error).__name__}: {error}"
    return ""


@contextmanager
def _no_threads_at_import() -> Iterator[None]:
    """OpenBLAS, which numpy brings along, starts its threads as it is loaded, unless told that it has one.

    Its API changes the number later (`openblas_set_num_threads`); the variable itself is put back, so workers do not
    see it.
    """
    name = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def count_threads() -> int:
    """Returns how many threads this process has, those of libraries too."""
    return len(os.listdir("/proc/self/task"))


def why_unsafe_to_fork(idle_threads: int = 0) -> str:
    """Returns why forks of this process could not work; '' where they can.

    A fork has only the forking thread: locks that others hold stay locked in it for ever. CUDA does not work in forks
    of a process that has used it.

    Args:
        idle_threads: how many are known to hold no locks.
    """
    threads = count_threads()
    if threads > 1 + idle_threads:
        return f"the process has {threads} threads{_names_of_threads()}, and a fork has only one"
    if _has_cuda():
        return "CUDA is initialised, and does not work in forks"
    return ""


def _names_of_threads() -> str:
    threading = sys.modules.get("threading")
    if threading is None:
        return ""
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    return f" ({', '.join(names)})" if names else ""


def _has_cuda() -> bool:
    """The driver's library opens /dev/nvidia… when it is initialised, whichever package did that."""
    for fd in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{fd}").startswith("/dev/nvidia"):
                return True
        except FileNotFoundError:
            continue  # The descriptor that listed the folder.
    return False
