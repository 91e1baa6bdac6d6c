"""The number of threads of native libraries."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os
from shoal._core.system.library_threads import set_library_threads
from shoal._core.system.preloading import import_module
assert set_library_threads(2) == []
import_module("numpy")
import numpy

def threads():
    return len(os.listdir("/proc/self/task"))

assert threads() == 1
told = set_library_threads(3)
assert [path for path in told if "blas" in path], told
square = numpy.ones((600, 600))
square @ square
print(threads())
"""


def test_numpy_gets_more_threads_than_it_was_loaded_with() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"
