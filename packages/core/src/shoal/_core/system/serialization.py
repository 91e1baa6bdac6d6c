"""Values to bytes and back: pickle protocol 5, with large buffers kept apart so that they are never copied in between.

Form of a serialized value:

    no buffers   the pickle stream itself; begins with 0x80
    buffers      0x01, 3 zero bytes, u32 number of buffers, u64 length of the pickle stream, u64 length of each buffer,
                 the pickle stream, then each buffer at the next multiple of 64 bytes   (all little-endian)

Plain pickle does most of the work. What it refuses or would send by a name that only this process knows (`__main__`) is
pickled again by value, see `by_value`.
"""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Callable, Sequence
from pickle import PickleBuffer, Pickler, dumps, loads
from types import FunctionType
from typing import Any, Protocol

from shoal._core.system.custom_reducers import custom_reducers
from shoal.exceptions import SerializationError, ShoalError

IN_BAND_LIMIT = 4096
"""Smaller buffers (bytes) go into the pickle stream: small arrays come back as plain, writable copies."""

_PROTOCOL = 5
_PICKLE_MAGIC = 0x80
_BUFFERS_MAGIC = 0x01
_HEADER = struct.Struct("<B3xIQ")
_ALIGNMENT = 64

_SCALARS = frozenset({int, float, bool, type(None)})
_TEXTS = frozenset({str, bytes})
_LARGE_PAYLOAD = 65536
"""Pickle hands strings of more bytes to the writer as they are, apart from its frames of about this size."""
_LONGEST_FRAME = 2 * _LARGE_PAYLOAD
_REUSE_LIMIT = 4096
"""After larger values a pickler is not used again: its memo would stay as large, and be cleared after every value."""
_MAIN = b"__main__"


class ByteTarget(Protocol):
    """Takes bytes by slice assignment, as a writable memoryview does."""

    def __setitem__(self, where: slice, data: Any, /) -> None: ...


class Serialized:
    """A value as bytes that are not yet in one place. Refers to the value's own memory: lay it out before that changes.

    Attributes:
        buffers: the out-of-band buffers, each contiguous.
        refs: the references found inside the value (whatever called `note_ref`).
    """

    __slots__ = ("_parts", "buffers", "refs")

    def __init__(self, parts: Sequence[Any], buffers: Sequence[memoryview] = (), refs: Sequence[Any] = ()) -> None:
        self._parts = parts
        self.buffers = buffers
        self.refs = refs

    @property
    def pickled(self) -> bytes:
        """The pickle stream."""
        parts = self._parts
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    @property
    def size(self) -> int:
        """Length of the laid-out form in bytes."""
        if not self.buffers:
            return self._pickled_size()
        return self._buffer_offsets()[-1] + self.buffers[-1].nbytes

    def to_bytes(self) -> bytes:
        """Returns the laid-out form."""
        if not self.buffers:
            return self.pickled
        pieces: list[Any] = [self._header(), *self._parts]
        position = self._pickled_offset() + self._pickled_size()
        for offset, buffer in zip(self._buffer_offsets(), self.buffers, strict=True):
            pieces += (bytes(offset - position), buffer)
            position = offset + buffer.nbytes
        return b"".join(pieces)

    def write_into(self, target: ByteTarget) -> None:
        """Writes the laid-out form.

        Args:
            target: room for `size` bytes or more; aligned to 64 bytes if the buffers shall be.
        """
        position = 0
        if self.buffers:
            header = self._header()
            position = len(header)
            target[:position] = header
        for part in self._parts:
            end = position + len(part)
            target[position:end] = part
            position = end
        if self.buffers:
            for offset, buffer in zip(self._buffer_offsets(), self.buffers, strict=True):
                target[offset : offset + buffer.nbytes] = buffer

    def _pickled_size(self) -> int:
        return sum(map(len, self._parts))

    def _pickled_offset(self) -> int:
        return _HEADER.size + 8 * len(self.buffers)

    def _header(self) -> bytes:
        sizes = [buffer.nbytes for buffer in self.buffers]
        return _HEADER.pack(_BUFFERS_MAGIC, len(sizes), self._pickled_size()) + struct.pack(f"<{len(sizes)}Q", *sizes)

    def _buffer_offsets(self) -> list[int]:
        sizes = [buffer.nbytes for buffer in self.buffers]
        return _aligned_offsets(self._pickled_offset() + self._pickled_size(), sizes)


def _aligned_offsets(position: int, sizes: Sequence[int]) -> list[int]:
    offsets = []
    for size in sizes:
        position += -position % _ALIGNMENT
        offsets.append(position)
        position += size
    return offsets


def serialize(value: Any) -> Serialized:
    """Pickles a value.

    Args:
        value: anything that pickle or cloudpickle can pickle.

    Raises:
        SerializationError: it cannot; the message says what inside of it refuses.
        ShoalError: a reference inside of it cannot travel (its session has ended).
    """
    kind = type(value)
    if kind in _SCALARS or (kind in _TEXTS and len(value) < _LARGE_PAYLOAD):
        return Serialized((dumps(value, _PROTOCOL),))
    outer = _thread.work
    if not outer.busy:
        return outer.run(value)
    # A `__reduce__` method serializes: its references are not those of the outer value.
    try:
        _thread.work = _Work()
        return _thread.work.run(value)
    finally:
        _thread.work = outer


def deserialize(data: bytes | bytearray | memoryview) -> Any:
    """Makes the value again. Large buffers in it are read-only views of `data`, and keep that alive.

    Args:
        data: the laid-out form.

    Raises:
        Exception: whatever the value's classes object with (`ModuleNotFoundError`, if one cannot be imported here).
    """
    if data[0] == _PICKLE_MAGIC:
        return loads(data)
    view = memoryview(data).toreadonly()
    magic, count, pickled_size = _HEADER.unpack_from(view)
    if magic != _BUFFERS_MAGIC:
        raise SerializationError(f"these {view.nbytes} bytes are no serialized value: they begin with {magic:#04x}")
    sizes = struct.unpack_from(f"<{count}Q", view, _HEADER.size)
    start = _HEADER.size + 8 * count
    end = start + pickled_size
    offsets = _aligned_offsets(end, sizes)
    buffers = [view[offset : offset + size] for offset, size in zip(offsets, sizes, strict=True)]
    return loads(view[start:end], buffers=buffers)


def note_ref(ref: Any) -> None:
    """Says that `ref` is part of what this thread serializes now, if anything; its `__reduce__` calls this."""
    work = _thread.work
    if work.busy:
        work.refs.append(ref)


def register_serializer(cls: type, *, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]) -> None:
    """Chooses how instances of a class are pickled in this process.

    Args:
        cls: the class; subclasses are not meant.
        serializer: returns something that can be pickled, given an instance.
        deserializer: makes the instance again of it, wherever it arrives.
    """
    custom_reducers.register(cls, serializer, deserializer)


def deregister_serializer(cls: type) -> None:
    """Ends what `register_serializer` began; nothing happens if it was not called for `cls`."""
    custom_reducers.deregister(cls)


class _Sink:
    """A file, as far as pickle needs one."""

    __slots__ = ("write",)

    def __init__(self, write: Callable[[Any], Any]) -> None:
        self.write = write


class _BufferTaker:
    """Decides which buffers stay out of the pickle stream, and keeps those."""

    __slots__ = ("buffers",)

    def __init__(self) -> None:
        self.buffers: list[memoryview] = []

    def __call__(self, buffer: PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < IN_BAND_LIMIT:
            return True
        self.buffers.append(raw)
        return False


class _Work:
    """Serializes, one value at a time, with a pickler kept for many: making one costs more than a small value does."""

    __slots__ = ("_chunks", "_pickler", "_table", "_taker", "busy", "refs")

    def __init__(self) -> None:
        self.busy = False
        self.refs: list[Any] = []
        self._pickler: Pickler | None = None
        self._table: dict[type, Any] | None = None
        self._chunks: list[bytes] = []
        self._taker = _BufferTaker()

    def run(self, value: Any) -> Serialized:
        """Returns the value in serialized form. Raises as `serialize` does."""
        table = custom_reducers.table()
        pickler = self._pickler
        if pickler is None or table is not self._table:
            pickler = self._new_pickler(table)
        refs = self.refs
        reusable = False
        try:
            self.busy = True
            if type(value) is not FunctionType:
                try:
                    pickler.dump(value)
                except Exception:
                    # Pickling by value, below, says what is wrong if anything is.
                    refs.clear()
                else:
                    parts: Sequence[bytes] = self._chunks
                    buffers = self._taker.buffers
                    if len(parts) == 1 and len(parts[0]) < _REUSE_LIMIT:
                        parts = (self._chunks.pop(),)
                        if buffers:
                            self._taker.buffers = []
                        pickler.clear_memo()
                        reusable = True
                    if not _names_what_is_sent_by_value(parts):
                        return Serialized(parts, buffers, refs)
                    refs.clear()
            return _serialize_by_value(value, refs)
        finally:
            if not reusable:
                self._pickler = None
                self._chunks = []
                self._taker = _BufferTaker()
            if refs:
                # What is noted belongs to the result: kept here, it would outlive that.
                self.refs = []
            self.busy = False

    def _new_pickler(self, table: dict[type, Any] | None) -> Pickler:
        self._table = table
        self._pickler = Pickler(_Sink(self._chunks.append), _PROTOCOL, buffer_callback=self._taker)
        if table is not None:
            self._pickler.dispatch_table = table
        return self._pickler


def _names_what_is_sent_by_value(parts: Sequence[bytes]) -> bool:
    """Whether a pickle stream may name functions and classes that other processes cannot look up by those names."""
    cloudpickle = sys.modules.get("cloudpickle")
    modules = cloudpickle.list_registry_pickle_by_value() if cloudpickle is not None else ()
    for part in parts:
        if len(part) > _LONGEST_FRAME:
            # A payload (the content of a string), which names nothing.
            continue
        if _MAIN in part:
            return True
        if modules and any(name.encode() in part for name in modules):
            return True
    return False


def _serialize_by_value(value: Any, refs: list[Any]) -> Serialized:
    from shoal._core.system.by_value import ByValuePickler

    chunks: list[bytes] = []
    taker = _BufferTaker()
    try:
        ByValuePickler(_Sink(chunks.append), taker).dump(value)
    except ShoalError:
        raise
    except Exception as error:
        from shoal._core.system.serializability import explanation

        raise explanation(value, "value", error) from error
    return Serialized(chunks, taker.buffers, refs)


class _ThreadState(threading.local):
    """What one thread serializes with."""

    def __init__(self) -> None:
        self.work = _Work()


_thread = _ThreadState()
