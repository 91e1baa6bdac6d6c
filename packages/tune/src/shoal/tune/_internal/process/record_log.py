"""A file to which records are added. A record that was not written whole, because its writer was killed, does not count."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_HEAD = struct.Struct("<II")


@dataclass(frozen=True)
class Mark:
    """A place in a log, to go back to.

    Args:
        length: of the file, in bytes.
        first: how its first record begins: what tells it from a log that was written in its place.
    """

    length: int
    first: bytes


class RecordLog:
    """Adds to one file. Raises OSError.

    Args:
        path: of the file. What is there is kept.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.records = sum(1 for _ in read_records(path))
        _cut(path)

    def add(self, records: Iterable[bytes]) -> None:
        """Writes records at the end, with one call."""
        framed = [part for record in records for part in (_HEAD.pack(len(record), zlib.crc32(record)), record)]
        with open(self.path, "ab", buffering=0) as file:
            begin = file.tell()
            data = b"".join(framed)
            try:
                written = 0
                while written < len(data):
                    written += file.write(data[written:])
            except OSError:
                file.truncate(begin)
                raise
        self.records += len(framed) // 2

    def replace(self, records: Iterable[bytes]) -> None:
        """Puts other records in the place of all."""
        beside = f"{self.path}.new"
        count = 0
        with open(beside, "wb") as file:
            for record in records:
                file.write(_HEAD.pack(len(record), zlib.crc32(record)))
                file.write(record)
                count += 1
        os.replace(beside, self.path)
        self.records = count


def read_records(path: str) -> Iterator[bytes]:
    """Yields the records that are whole, in order; none where there is no file."""
    try:
        data = memoryview(Path(path).read_bytes())
    except FileNotFoundError:
        return
    for begin, end in _spans(data):
        yield bytes(data[begin:end])


def mark(path: str) -> Mark:
    """Returns the end of a log, which may not be there yet. Raises OSError."""
    try:
        with open(path, "rb") as file:
            return Mark(os.fstat(file.fileno()).st_size, file.read(_HEAD.size))
    except FileNotFoundError:
        return Mark(0, b"")


def go_back(path: str, place: Mark) -> None:
    """Forgets what was added after a mark. Nothing is done where another log was put in the place of that one. Raises OSError."""
    now = mark(path)
    if place.length < now.length and (place.length == 0 or now.first == place.first):
        os.truncate(path, place.length)


def _spans(data: memoryview) -> Iterator[tuple[int, int]]:
    at = 0
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        begin, end = at + _HEAD.size, at + _HEAD.size + length
        if end > len(data) or zlib.crc32(data[begin:end]) != checksum:
            return
        yield begin, end
        at = end


def _cut(path: str) -> None:
    """What is not whole goes, so that what is added is found."""
    if not os.path.exists(path):
        return
    whole = max((end for _, end in _spans(memoryview(Path(path).read_bytes()))), default=0)
    if whole < os.path.getsize(path):
        os.truncate(path, whole)
