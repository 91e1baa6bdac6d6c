"""Locks by files: who waits, for how long, and what is left of those who gave up."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from shoal._core.system.file_locks import file_lock


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


@pytest.mark.parametrize("patience", [None, 30.0])
def test_one_at_a_time(path: str, patience: float | None) -> None:
    story: list[str] = []

    def second() -> None:
        with file_lock(path, None if patience is None else time.monotonic() + patience):
            story.append("second")

    thread = threading.Thread(target=second)
    with file_lock(path, None):
        thread.start()
        story.append("first")
    thread.join()
    assert story == ["first", "second"]


def test_giving_up(path: str) -> None:
    with (
        file_lock(path, None),
        pytest.raises(TimeoutError, match="another process has held"),
        file_lock(path, time.monotonic() + 0.05),
    ):
        raise AssertionError("it is held by somebody else")
    # Whoever gave up still waits in the background, and lets go at once.
    with file_lock(path, time.monotonic() + 30):
        pass


def test_an_error_ends_it(path: str) -> None:
    with pytest.raises(KeyError), file_lock(path, None):
        raise KeyError
    with file_lock(path, time.monotonic()):
        pass
