"""Shared memory as Linux has it: mapping, populating, copying and punching, where Python has no call of its own.

The calls of `_libc` release the interpreter lock, those of `_python` do not.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_python = ctypes.pythonapi

_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.memmove.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_libc.fallocate64.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)

_PROT_READ = 1
_PROT_WRITE = 2
_MAP_SHARED = 1
_MAP_FAILED = ctypes.c_void_p(-1).value
_MADV_POPULATE_READ = 22
_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2


class _Buffer(ctypes.Structure):
    """`Py_buffer`."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_PyBUF_SIMPLE = 0
_python.PyObject_GetBuffer.argtypes = (ctypes.py_object, ctypes.POINTER(_Buffer), ctypes.c_int)
_python.PyBuffer_Release.argtypes = (ctypes.POINTER(_Buffer),)


def _failure(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")


class OwnedFile:
    """An open file, closed when the last who uses this object lets go of it."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.fd)


class Mapping:
    """A file mapped into this process, for as long as this object lives.

    Args:
        fd: the file; may be closed afterwards.
        size: bytes to map, from the beginning.
        writable: whether writes are allowed (to the mapping; they reach the file). Otherwise they are a crash.

    Raises:
        OSError: there is no address space for it.
    """

    __slots__ = ("_unmap", "address", "size")

    def __init__(self, fd: int, size: int, *, writable: bool) -> None:
        protection = _PROT_READ | _PROT_WRITE if writable else _PROT_READ
        self._unmap = None
        address = _libc.mmap(None, size, protection, _MAP_SHARED, fd, 0)
        if address == _MAP_FAILED:
            raise _failure(f"mmap of {size} bytes")
        self.address: int = address
        self.size = size
        # Kept here, because module globals may be gone when the interpreter ends.
        self._unmap = _libc.munmap

    def __del__(self) -> None:
        if self._unmap is not None:
            self._unmap(self.address, self.size)

    def populate(self, offset: int, size: int) -> None:
        """Enters pages into the page table that exist in the file; without this, each is a fault at its first use.

        In a mapping of shared memory they are writable at once. An old kernel that cannot do it faults as ever.

        Args:
            offset: a multiple of the page size.
            size: in bytes.
        """
        _libc.madvise(self.address + offset, size, _MADV_POPULATE_READ)


class _Memory(ctypes.Array[ctypes.c_char]):
    """The object behind the views of one block.

    One type for all sizes, because ctypes never frees the type that it makes for each length; views are cut to their size.
    """

    _type_ = ctypes.c_char
    _length_ = 1 << 46
    __slots__ = ("mapping", "on_release", "pid")

    mapping: Mapping
    on_release: Callable[[], None] | None
    pid: int

    def __del__(self, getpid: Callable[[], int] = os.getpid) -> None:
        if self.on_release is not None and getpid() == self.pid:
            self.on_release()


def view_of(mapping: Mapping, offset: int, size: int, on_release: Callable[[], None] | None = None) -> memoryview:
    """Returns a view of a part of a mapping, which stays mapped while the view or anything made from it lives.

    Args:
        mapping: of the file.
        offset: in bytes.
        size: in bytes.
        on_release: called once when the last of these is gone, on whatever thread that happens; not in forked children.
    """
    memory = _Memory.from_address(mapping.address + offset)
    memory.mapping = mapping
    memory.on_release = on_release
    memory.pid = os.getpid()
    return memoryview(memory).cast("B")[:size]


def copy_to(address: int, data: Any) -> None:
    """Copies a contiguous buffer to an address, with the interpreter lock released."""
    source = _Buffer()
    _python.PyObject_GetBuffer(data, source, _PyBUF_SIMPLE)
    try:
        _libc.memmove(address, source.buf, source.len)
    finally:
        _python.PyBuffer_Release(source)


def punch_hole(fd: int, offset: int, size: int) -> None:
    """Gives a range of a file back to the machine; it reads as zeros afterwards.

    Args:
        fd: the file.
        offset: in bytes.
        size: in bytes.

    Raises:
        OSError: the file system cannot do that (`EOPNOTSUPP`).
    """
    while _libc.fallocate64(fd, _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE, offset, size) != 0:
        if ctypes.get_errno() != errno.EINTR:
            raise _failure(f"punching a hole of {size} bytes")
