"""How many threads native libraries may use that are loaded already: BLAS and OpenMP read their variables as they are loaded, and never again."""

from __future__ import annotations

import ctypes
import os
import sys

_SETTERS = {
    "openblas": (
        "openblas_set_num_threads",
        "openblas_set_num_threads64_",
        "scipy_openblas_set_num_threads",
        "scipy_openblas_set_num_threads64_",
    ),
    "libgomp": ("omp_set_num_threads",),
    "libomp": ("omp_set_num_threads",),
    "libiomp": ("omp_set_num_threads",),
    "libmkl_rt": ("MKL_Set_Num_Threads",),
    "blis": ("bli_thread_set_num_threads",),
}


def set_library_threads(count: int) -> list[str]:
    """Sets the number of threads of the native libraries that this process has loaded.

    Libraries that are loaded later follow OMP_NUM_THREADS and OPENBLAS_NUM_THREADS.

    Args:
        count: at least 1. OpenMP keeps the number by thread: call this in the thread that runs the user's code.

    Returns:
        Paths of the libraries that were told.
    """
    told = []
    for path in _loaded_libraries():
        name = os.path.basename(path)
        for part, setters in _SETTERS.items():
            if part in name and _call_first(path, setters, count):
                told.append(path)
                break
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)
    return told


def _loaded_libraries() -> list[str]:
    with open("/proc/self/maps", "rb") as file:
        lines = file.read().splitlines()
    paths = {os.fsdecode(fields[5]) for line in lines if len(fields := line.split(None, 5)) == 6}
    return sorted(path for path in paths if ".so" in path and path.startswith("/"))


def _call_first(path: str, setters: tuple[str, ...], count: int) -> bool:
    try:
        library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return False  # Mapped, but not by the dynamic loader, or deleted since.
    for name in setters:
        setter = getattr(library, name, None)
        if setter is not None:
            setter(ctypes.c_int(count))
            return True
    return False
