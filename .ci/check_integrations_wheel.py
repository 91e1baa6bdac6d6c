"""Checks shoal-integrations as installed from its wheel, without the libraries it adapts: a quick start."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import shoal
from shoal.util import multiprocessing
from shoal.util.futures import Executor
from shoal.util.remote_calls.version import __version__


def check_that_it_is_the_wheel() -> None:
    assert multiprocessing.__file__ is not None
    assert "site-packages" in Path(multiprocessing.__file__).parts, multiprocessing.__file__
    assert __version__ == importlib.metadata.version("shoal-integrations")


def check_a_quick_start() -> None:
    with shoal.init(num_cpus=2):
        with multiprocessing.Pool(2) as pool:
            assert pool.map(abs, [-1, 2, -3]) == [1, 2, 3]
        with Executor() as executor:
            assert executor.submit(pow, 2, 5).result() == 32


def main() -> int:
    check_that_it_is_the_wheel()
    check_a_quick_start()
    print("shoal-integrations' wheel works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
