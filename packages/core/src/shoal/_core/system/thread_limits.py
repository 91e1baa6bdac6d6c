"""How many threads numeric libraries use in this process: as many as it was given CPUs, so that workers side by side do
not fight over the cores.

A library that is loaded later reads its number from the environment; one that is loaded already is told by a call. What
the user has set (OMP_NUM_THREADS=8) is left as it is.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

_VARIABLE = "OMP_NUM_THREADS"
"""Libraries have variables of their own besides (OPENBLAS_NUM_THREADS, MKL_NUM_THREADS, ...), and go by this one where theirs
is not set; so those stay the user's."""
_MARK = "SHOAL_NUM_THREADS"
"""'number@pid': the number that we have put into that variable, and the process in which libraries were told. It tells our
own number from the user's, also in processes that inherit the environment."""

_NATIVE_MODULES = frozenset(
    (
        "cv2",
        "faiss",
        "jaxlib",
        "lightgbm",
        "mkl",
        "numba",
        "numexpr",
        "numpy",
        "pyarrow",
        "scipy",
        "sklearn",
        "torch",
        "xgboost",
    )
)
"""Where none of these is imported there is no library to tell; all others that bring one along import numpy too."""

_BY_FILE_NAME = (
    # part of the file's name, variables that set its number (the first that is set wins), functions that do
    (
        "openblas",
        ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"),
        (
            "scipy_openblas_set_num_threads64_",
            "scipy_openblas_set_num_threads",
            "openblas_set_num_threads64_",
            "openblas_set_num_threads",
        ),
    ),
    ("libmkl_rt", ("MKL_NUM_THREADS", "OMP_NUM_THREADS"), ("MKL_Set_Num_Threads",)),
    ("libblis", ("BLIS_NUM_THREADS", "OMP_NUM_THREADS"), ("bli_thread_set_num_threads",)),
    ("libgomp", ("OMP_NUM_THREADS",), ("omp_set_num_threads",)),
    ("libiomp", ("OMP_NUM_THREADS",), ("omp_set_num_threads",)),
    ("libomp", ("OMP_NUM_THREADS",), ("omp_set_num_threads",)),
)

_BY_MODULE = (
    # module, variables as above, function of the module
    ("torch", ("OMP_NUM_THREADS",), "set_num_threads"),
    ("numexpr", ("NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS"), "set_num_threads"),
    ("pyarrow", ("OMP_NUM_THREADS",), "set_cpu_count"),
)


def limit_threads(count: int, environ: MutableMapping[str, str] = os.environ) -> None:
    """Has BLAS and OpenMP libraries use `count` threads in this process, unless the user has set their number.

    OpenMP keeps the number per thread, so call this on the thread that computes. Costs microseconds where no such
    library is loaded, or where the number is the same as before.

    Args:
        count: number of threads, at least 1.
        environ: environment variables, read and written.
    """
    value = str(count)
    mark = f"{value}@{os.getpid()}"
    before = environ.get(_MARK, "")
    if before == mark:
        return
    ours = before.partition("@")[0]
    if environ.get(_VARIABLE, ours) == ours:
        environ[_VARIABLE] = value
    environ[_MARK] = mark
    if not _NATIVE_MODULES.isdisjoint(sys.modules):
        _tell_loaded_libraries(environ)


def _tell_loaded_libraries(environ: Mapping[str, str]) -> None:
    for path in _loaded_libraries():
        name = path.rpartition("/")[2]
        for part, variables, functions in _BY_FILE_NAME:
            if part in name:
                _tell_library(path, functions, _number(environ, variables))
    for name, variables, function in _BY_MODULE:
        call = getattr(sys.modules.get(name), function, None)
        if call is not None:
            call(_number(environ, variables))


def _tell_library(path: str, functions: tuple[str, ...], count: int) -> None:
    """Calls the first of the functions that the library has."""
    library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    for function in functions:
        call = getattr(library, function, None)
        if call is not None:
            call.argtypes = (ctypes.c_int,)
            call.restype = None
            call(count)
            return


class _LoadedLibrary(ctypes.Structure):
    """The beginning of `struct dl_phdr_info`."""

    _fields_ = (("address", ctypes.c_void_p), ("name", ctypes.c_char_p))


_VISITOR = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_LoadedLibrary), ctypes.c_size_t, ctypes.c_void_p)


def _loaded_libraries() -> list[str]:
    """Returns the paths of the libraries that this process has loaded.

    /proc/self/maps says the same, but takes the kernel milliseconds where there are many.
    """
    paths: list[str] = []

    def visit(library: Any, size: int, data: object) -> int:
        paths.append(os.fsdecode(library.contents.name))
        return 0

    ctypes.CDLL(None).dl_iterate_phdr(_VISITOR(visit), None)
    return paths


def _number(environ: Mapping[str, str], variables: tuple[str, ...]) -> int:
    """The first of the variables that says a number; OMP_NUM_THREADS may be a list, a number for each level."""
    for variable in variables:
        text = environ.get(variable, "").partition(",")[0].strip()
        if text.isdecimal() and int(text) > 0:
            return int(text)
    return 1
