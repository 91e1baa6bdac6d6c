"""A file of events that TensorBoard reads, on tensorboard's own record format.

Not on its writer of event files, which loads TensorFlow where that is installed, nor on tensorboardX, which loads torch: that is seconds
 for a curve.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

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
        os.makedirs(folder, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()[:40]}.{os.getpid()}.{next(_COUNTER)}"
        self._records = _records(open(os.path.join(folder, name), "wb"))  # noqa: SIM115  # `close` closes it.
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


def _records(file: BinaryIO) -> Any:
    """Returns what writes records: with checksums in C where google-crc32c is installed, else tensorboard's own, in Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has no C here: then it is not used
            import google_crc32c
    except ImportError:
        checksum = None
    else:
        checksum = google_crc32c.value if google_crc32c.implementation == "c" else None
    if checksum is not None:
        return _Records(file, checksum)
    return library("tensorboard.summary.writer.record_writer", "tensorboard").RecordWriter(file)


class _Records:
    """Records as TensorFlow has them: length, its masked CRC32C, data, their masked CRC32C.

    https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
    """

    def __init__(self, file: BinaryIO, checksum: Callable[[bytes], int]) -> None:
        self._file = file
        self._checksum = checksum

    def write(self, data: bytes) -> None:
        length = struct.pack("<Q", len(data))
        self._file.write(b"".join((length, self._masked(length), data, self._masked(data))))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _masked(self, data: bytes) -> bytes:
        checksum = self._checksum(data)
        return struct.pack("<I", (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF)
