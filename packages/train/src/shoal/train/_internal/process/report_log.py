"""The file of a run that has every report of rank 0, a line of JSON each: `result.json`. And the error that ended it.

Where lines can be added to a file, they are there as soon as they are reported; elsewhere whenever a checkpoint is whole, and at the end.
"""

from __future__ import annotations

import json
import os
import traceback
from typing import Any

from shoal import cloudpickle
from shoal.train._internal.process.run_storage import RunStorage, plain
from shoal.train.checkpoint import Checkpoint
from shoal.train.result import ERROR, REPORTS, Result

ERROR_TEXT = "error.txt"


class ReportLog:
    """A RunObserver that writes.

    Args:
        storage: the run's folder, which is there. A run of the same name adds to the file.
    """

    def __init__(self, storage: RunStorage) -> None:
        self._storage = storage
        self._file: int | None = None
        self._lines: list[bytes] | None = None
        """Of the whole file, where no line can be added."""
        self._is_changed = False

    def started(self, attempt: int, world_size: int) -> None:
        if self._storage.is_local:
            if self._file is None:
                path = f"{self._storage.path}/{REPORTS}"
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        elif self._lines is None:
            self._lines = [self._storage.read(REPORTS) or b""]

    def reported(self, rank: int, metrics: dict[str, Any], has_checkpoint: bool) -> None:
        if rank != 0:
            return
        added = json.dumps(metrics, default=plain).encode() + b"\n"
        if self._file is not None:
            os.write(self._file, added)
        elif self._lines is not None:
            self._lines.append(added)
            self._is_changed = True

    def committed(self, number: int, checkpoint: Checkpoint, metrics_by_rank: list[dict[str, Any]]) -> None:
        self._store()

    def failed(self, attempt: int, failures: dict[int, BaseException], restarting: bool) -> None:
        return

    def ended(self, result: Result) -> None:
        self._store()
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if result.error is None:
            # Of a run of the same name that failed.
            self._storage.remove(ERROR)
            self._storage.remove(ERROR_TEXT)
        else:
            text = "".join(traceback.format_exception(result.error))
            self._storage.replace(ERROR_TEXT, text.encode())
            self._storage.replace(ERROR, _pickled(result.error))

    def _store(self) -> None:
        if self._lines is not None and self._is_changed:
            self._storage.replace(REPORTS, b"".join(self._lines))
            self._is_changed = False


def _pickled(error: BaseException) -> bytes:
    try:
        content: bytes = cloudpickle.dumps(error)
        cloudpickle.loads(content)
    except Exception:
        # Errors of libraries need not be picklable; the text always is.
        content = cloudpickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return content
