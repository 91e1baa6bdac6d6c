"""A client's side of the object store: arenas mapped into this process, blocks to write, views to read.

An arena is mapped when it is first used: once for reading, where a stray write is a crash instead of a changed
object, and once for writing. Views keep the mapping: an arena that the node has removed is unmapped when its last
view is gone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from shoal._core.system.block_writer import BlockWriter, PageTable
from shoal._core.system.linux_memory import Mapping, OwnedFile, view_of
from shoal.exceptions import ShoalSystemError


class _Arena:
    """One arena, with what of it is mapped."""

    __slots__ = ("file", "pages", "reading", "size")

    def __init__(self, file: OwnedFile, size: int) -> None:
        self.file = file
        self.size = size
        self.reading: Mapping | None = None
        self.pages: PageTable | None = None


class ArenaMap:
    """The arenas that this process knows. Safe to use from several threads."""

    def __init__(self) -> None:
        self._arenas: dict[int, _Arena] = {}
        self._lock = threading.Lock()
        """Held while an arena is mapped, so that it is not mapped twice."""

    def __contains__(self, arena_id: int) -> bool:
        return arena_id in self._arenas

    def add(self, arena_id: int, fd: int, size: int) -> None:
        """Learns of an arena.

        Args:
            arena_id: as the node calls it.
            fd: its file; this takes a copy.
            size: in bytes.
        """
        self._arenas[arena_id] = _Arena(OwnedFile(os.dup(fd)), size)

    def remove(self, arena_id: int) -> None:
        """Forgets an arena. Unknown ids are ignored: the node tells everybody."""
        self._arenas.pop(arena_id, None)

    def writer(self, arena_id: int, offset: int, size: int, warm: int = 0) -> BlockWriter:
        """Returns what fills a block fastest: like a memoryview, it takes slice assignments.

        Args:
            arena_id: a known arena.
            offset: of the block, in bytes.
            size: of the block, in bytes.
            warm: so many bytes at its beginning lie on pages that were used before, as the node said.

        Raises:
            ShoalSystemError: there is no such arena, or the block is not inside it.
        """
        arena = self._arena(arena_id, offset, size)
        return BlockWriter(self._pages(arena), offset, size, warm)

    def writable(self, arena_id: int, offset: int, size: int) -> memoryview:
        """Returns a view to write to. Arguments and errors as for `writer`."""
        return view_of(self._pages(self._arena(arena_id, offset, size)).mapping, offset, size)

    def readable(self, arena_id: int, offset: int, size: int, on_release: Callable[[], None]) -> memoryview:
        """Returns a read-only view; nothing is copied.

        Args:
            arena_id: a known arena.
            offset: of the block, in bytes.
            size: of the block, in bytes.
            on_release: called once when the view and all that was made from it (slices, arrays, Arrow buffers) are gone,
                on whatever thread that happens, in the middle of anything: let it do next to nothing. Not called in
                forked children.

        Raises:
            ShoalSystemError: there is no such arena, or the block is not inside it.
        """
        arena = self._arena(arena_id, offset, size)
        mapping = arena.reading
        if mapping is None:
            with self._lock:
                mapping = arena.reading
                if mapping is None:
                    mapping = arena.reading = Mapping(arena.file.fd, arena.size, writable=False)
        return view_of(mapping, offset, size, on_release).toreadonly()

    def _arena(self, arena_id: int, offset: int, size: int) -> _Arena:
        arena = self._arenas.get(arena_id)
        if arena is None:
            raise ShoalSystemError(f"arena {arena_id} is not known to this process")
        if offset < 0 or size < 0 or offset + size > arena.size:
            raise ShoalSystemError(f"arena {arena_id} of {arena.size} bytes has no block of {size} bytes at {offset}")
        return arena

    def _pages(self, arena: _Arena) -> PageTable:
        pages = arena.pages
        if pages is None:
            with self._lock:
                pages = arena.pages
                if pages is None:
                    pages = arena.pages = PageTable(arena.file, Mapping(arena.file.fd, arena.size, writable=True))
        return pages
