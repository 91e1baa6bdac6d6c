"""Whether a process may still be forked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shoal._core.system import preloading

PROGRAM = """
import os, sys
from shoal._core.system.preloading import import_module, why_unsafe_to_fork
{text}
print(why_unsafe_to_fork())
"""


def verdict_after(text: str) -> str:
    program = PROGRAM.format(text=text)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_an_ordinary_process_may_be_forked() -> None:
    assert verdict_after("") == ""


def test_a_thread_makes_it_unsafe() -> None:
    text = "import threading; threading.Thread(target=threading.Event().wait, name='watcher', daemon=True).start()"
    assert verdict_after(text) == "the process has 2 threads (watcher), and a fork has only one"


def test_numpy_is_imported_without_threads() -> None:
    assert verdict_after("assert not import_module('numpy') and 'OPENBLAS_NUM_THREADS' not in os.environ") == ""


def test_a_setting_of_the_user_is_put_back() -> None:
    text = "os.environ['OPENBLAS_NUM_THREADS'] = '2'; import_module('json'); assert os.environ['OPENBLAS_NUM_THREADS'] == '2'"
    assert verdict_after(text) == ""


def test_cuda_makes_it_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preloading.os, "listdir", lambda folder: ["1"])
    monkeypatch.setattr(preloading.os, "readlink", lambda path: "/dev/nvidiactl")
    assert preloading.why_unsafe_to_fork() == "CUDA is initialised, and does not work in forks"


def test_an_import_that_fails_says_why() -> None:
    assert preloading.import_module("no_such_module") == (
        "importing it raised ModuleNotFoundError: No module named 'no_such_module'"
    )
