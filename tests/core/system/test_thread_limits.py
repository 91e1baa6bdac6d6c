"""How many threads numeric libraries use, in fresh interpreters, since libraries once loaded stay."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from shoal._core.system.thread_limits import limit_threads

COUNTS = """
import numpy, threadpoolctl
def counts(): return sorted({library["num_threads"] for library in threadpoolctl.threadpool_info()})
"""


def run(program: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Returns the words that the program prints."""
    prelude = "from shoal._core.system.thread_limits import limit_threads\n"
    command = [sys.executable, "-c", prelude + program]
    clean = {"PYTHONPATH": ":".join(filter(None, sys.path)), **(environ or {})}
    return subprocess.run(command, env=clean, capture_output=True, text=True, check=True).stdout.split()


def test_libraries_that_come_later_read_the_variable() -> None:
    environ: dict[str, str] = {}
    limit_threads(3, environ)
    assert environ["OMP_NUM_THREADS"] == "3"
    limit_threads(5, environ)
    assert environ["OMP_NUM_THREADS"] == "5"
    assert run("limit_threads(1)" + COUNTS + "print(counts())") == ["[1]"]


def test_what_the_user_has_set_stays() -> None:
    environ = {"OMP_NUM_THREADS": "8"}
    limit_threads(3, environ)
    limit_threads(2, environ)
    assert environ["OMP_NUM_THREADS"] == "8"


def test_inherited_numbers_of_ours_are_not_the_users() -> None:
    environ: dict[str, str] = {}
    limit_threads(3, environ)
    environ["SHOAL_NUM_THREADS"] = "3@1"  # As in a process that another one of ours has started.
    limit_threads(4, environ)
    assert environ["OMP_NUM_THREADS"] == "4"


def test_libraries_that_are_loaded_are_told() -> None:
    assert run(COUNTS + "limit_threads(1); print(counts()); limit_threads(2); print(counts())") == ["[1]", "[2]"]


def test_libraries_loaded_with_one_thread_get_more() -> None:
    program = f"import os; os.environ['OPENBLAS_NUM_THREADS'] = '1'{COUNTS}"
    program += "del os.environ['OPENBLAS_NUM_THREADS']; limit_threads(2); print(counts())"
    assert run(program) == ["[2]"]


def test_loaded_libraries_are_told_the_users_number() -> None:
    program = COUNTS + "limit_threads(1); print(counts())"
    assert run(program, {"OMP_NUM_THREADS": "2,1"}) == ["[2]"]
    assert run(program, {"OPENBLAS_NUM_THREADS": "2"}) == ["[2]"]


def test_loaded_libraries_of_a_fork_are_told_too() -> None:
    program = (
        COUNTS + "import os; limit_threads(1)\nif os.fork() == 0: limit_threads(2); print(counts())\nelse: os.wait()"
    )
    assert run(program) == ["[2]"]


def test_modules_with_a_call_of_their_own() -> None:
    program = """
import sys, types
torch = sys.modules["torch"] = types.ModuleType("torch")
torch.set_num_threads = lambda count: print(count)
limit_threads(2); limit_threads(2); limit_threads(3)
"""
    assert run(program) == ["2", "3"]
