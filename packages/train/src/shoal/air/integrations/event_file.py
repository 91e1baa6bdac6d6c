"""A file of events that TensorBoard reads, on tensorboard's own record format.

Not on its writer of event files, which loads TensorFlow where that is installed, nor on tensorboardX, which loads torch: that is seconds
 for a curve.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from shoal.air.integrations import library

FLUSH_SECONDS = 10.0
BINS = 30
_COUNTER = itertools.count()


class EventFile:
    """Open until `close`.

    Args:
        folder: in which a new file is made.

    Raises:
        MissingLibraryError: (an ImportError) tensorboard is not installed.
        OSError: the file cannot be made.
    """

    def __init__(self, folder: str) -> None:
        self._event = library("tensorboard.compat.proto.event_pb2", "tensorboard").Event
        self._summary = library("tensorboard.compat.proto.summary_pb2", "tensorboard")
        writer = library("tensorboard.summary.writer.record_writer", "tensorboard").RecordWriter
        os.makedirs(folder, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()[:40]}.{os.getpid()}.{next(_COUNTER)}"
        self._records = writer(open(os.path.join(folder, name), "wb"))  # noqa: SIM115  # `close` closes it.
        self._flushed = time.monotonic()
        self._write(self._event(wall_time=time.time(), file_version="brain.Event:2"))
        self.flush()

    def add(self, numbers: Mapping[str, float], distributions: Mapping[str, Sequence[float]], step: int) -> None:
        """Writes values of one step, by tag."""
        summary = self._summary.Summary()
        for tag, number in numbers.items():
            summary.value.add(tag=tag, simple_value=number)
        for tag, values in distributions.items():
            summary.value.add(tag=tag, histo=self._histogram(values))
        self.add_summary(summary, step)

    def add_summary(self, summary: Any, step: int = 0) -> None:
        """Writes what tensorboard's own functions have made."""
        self._write(self._event(wall_time=time.time(), step=step, summary=summary))
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """What was added is in the file."""
        self._records.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """No more is added."""
        self._records.close()

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())

    def _histogram(self, values: Sequence[float]) -> Any:
        import numpy as np

        found = np.asarray(values, dtype=np.float64).ravel()
        found = found[np.isfinite(found)]
        if found.size == 0:
            return self._summary.HistogramProto()
        counts, edges = np.histogram(found, bins=BINS)
        return self._summary.HistogramProto(
            min=float(found.min()),
            max=float(found.max()),
            num=float(found.size),
            sum=float(found.sum()),
            sum_squares=float(found.dot(found)),
            bucket_limit=edges[1:].tolist(),
            bucket=counts.astype(float).tolist(),
        )
