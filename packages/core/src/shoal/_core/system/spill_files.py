"""Objects on disk: many of them in a few large files that have no name, so that nothing stays behind, whatever is killed.

An object lies in one *segment*, at a multiple of 4 KiB. A deleted object's range is punched out of its segment; a
segment without objects is closed, which gives back its room. Copies go through a small buffer that stays in the
processor's cache: that is as fast as `sendfile` in both directions, and needs neither a mapping of the arena nor a
file position.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence

from shoal._core.system.arenas import Arenas
from shoal._core.system.job_threads import JobThreads
from shoal._core.system.linux_memory import punch_hole

SEGMENT_SIZE = 1 << 30
"""A segment that is as long (bytes) takes no more objects."""

_BLOCK = 4096
_BUFFER = 1 << 20

Done = Callable[[str], None]
"""Called on another thread, once, with '' or what went wrong."""


class _Segment:
    __slots__ = ("end", "fd", "folder", "objects")

    def __init__(self, folder: str, fd: int) -> None:
        self.folder = folder
        self.fd = fd
        self.end = 0
        self.objects = 0


class _Place:
    """Where an object lies."""

    __slots__ = ("offset", "segment", "size")

    def __init__(self, segment: _Segment, offset: int, size: int) -> None:
        self.segment = segment
        self.offset = offset
        self.size = size


class SpillFiles:
    """The node's spilled objects. `spill`, `restore` and `delete` return at once.

    Args:
        folders: where to write, the best first; the next is tried when one is full.
        arenas: where the objects come from and go to.
        threads: do the work.
        keep_free: bytes that are left free on each disk.
    """

    def __init__(self, folders: Sequence[str], arenas: Arenas, threads: JobThreads, *, keep_free: int = 0) -> None:
        self._folders = tuple(folders)
        self._arenas = arenas
        self._threads = threads
        self._keep_free = keep_free
        self._lock = threading.Lock()
        """For what follows."""
        self._places: dict[bytes, _Place] = {}
        self._segments: dict[str, _Segment] = {}
        """The one that takes objects, by folder."""
        self._deleted: deque[_Place] = deque()

    def spill(self, object_id: bytes, arena_id: int, offset: int, size: int, done: Done) -> None:
        """Writes an object to disk.

        Args:
            object_id: not on disk yet.
            arena_id: where it is.
            offset: of its block, in bytes.
            size: in bytes.
            done: called when it is written, or could not be.
        """
        fd = self._arenas.fd(arena_id)
        self._threads.submit(lambda: done(_outcome(self._spill, object_id, fd, offset, size)))

    def restore(self, object_id: bytes, arena_id: int, offset: int, size: int, done: Done) -> None:
        """Reads an object from disk into a block. Arguments as for `spill`."""
        fd = self._arenas.fd(arena_id)
        self._threads.submit(lambda: done(_outcome(self._restore, object_id, fd, offset, size)))

    def delete(self, object_id: bytes) -> None:
        """Gives up an object's copy. Whatever is spilled later can have its room."""
        with self._lock:
            self._deleted.append(self._places.pop(object_id))
        self._threads.submit(self._clear)

    def close(self) -> None:
        """Closes all files, with all that is in them. Call when the threads have ended."""
        with self._lock:
            segments = {place.segment for place in (*self._places.values(), *self._deleted)}
            for segment in segments | set(self._segments.values()):
                os.close(segment.fd)
            self._places.clear()
            self._segments.clear()
            self._deleted.clear()

    # --- on the threads ---------------------------------------------------------------------------------------------

    def _spill(self, object_id: bytes, arena_fd: int, offset: int, size: int) -> str:
        self._clear()
        problems = []
        for folder in self._folders:
            try:
                self._check_room(folder, size)
                place = self._reserve(folder, size)
            except OSError as error:
                problems.append(f"{folder}: {error.strerror}")
                continue
            try:
                _copy(arena_fd, offset, place.segment.fd, place.offset, size)
            except OSError as error:
                self._forget(place)
                problems.append(f"{folder}: {error.strerror}")
                continue
            with self._lock:
                self._places[object_id] = place
            return ""
        return "; ".join(problems) or "there is no folder to spill to"

    def _restore(self, object_id: bytes, arena_fd: int, offset: int, size: int) -> str:
        with self._lock:
            place = self._places[object_id]
        try:
            _copy(place.segment.fd, place.offset, arena_fd, offset, size)
        except OSError as error:
            return f"{place.segment.folder}: {error.strerror}"
        return ""

    def _check_room(self, folder: str, size: int) -> None:
        room = os.statvfs(folder)
        if room.f_bavail * room.f_frsize < size + self._keep_free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _reserve(self, folder: str, size: int) -> _Place:
        """Takes the next range of the folder's segment. Raises OSError where a new one is needed and cannot be opened."""
        with self._lock:
            segment = self._segments.get(folder)
            if segment is None or segment.end >= SEGMENT_SIZE:
                segment = self._segments[folder] = _Segment(folder, _nameless_file(folder))
            place = _Place(segment, segment.end, size)
            segment.end += max(1, -(-size // _BLOCK)) * _BLOCK
            segment.objects += 1
            return place

    def _clear(self) -> None:
        """Makes room of what was deleted."""
        while True:
            with self._lock:
                if not self._deleted:
                    return
                place = self._deleted.popleft()
            self._forget(place)

    def _forget(self, place: _Place) -> None:
        segment = place.segment
        with self._lock:
            segment.objects -= 1
            unused = not segment.objects
            if unused and self._segments.get(segment.folder) is segment:
                del self._segments[segment.folder]
        if unused:
            os.close(segment.fd)
        elif place.size:
            try:
                punch_hole(segment.fd, place.offset, -(-place.size // _BLOCK) * _BLOCK)
            except OSError:
                # Not every file system can: then the room comes back with the whole segment.
                return


def _outcome(transfer: Callable[[bytes, int, int, int], str], object_id: bytes, fd: int, offset: int, size: int) -> str:
    """What `done` is told: somebody waits for it, so that it has to come whatever happens."""
    try:
        return transfer(object_id, fd, offset, size)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _nameless_file(folder: str) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(folder, flags | os.O_TMPFILE, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
            raise
    # An older file system: there is a name for a moment.
    path = os.path.join(folder, f"spill-{os.urandom(8).hex()}")
    fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink(path)
    return fd


def _copy(source: int, source_offset: int, target: int, target_offset: int, size: int) -> None:
    """Copies a range between files. Raises OSError."""
    with memoryview(bytearray(min(size, _BUFFER))) as buffer:
        done = 0
        while done < size:
            read = os.preadv(source, [buffer[: size - done]], source_offset + done)
            if not read:
                raise OSError(errno.EIO, f"the file ends {size - done} bytes early")
            with buffer[:read] as piece:
                written = 0
                while written < read:
                    written += os.pwrite(target, piece[written:], target_offset + done + written)
            done += read
