"""Values with versions, which others wait to see change."""

from __future__ import annotations

import asyncio
from typing import Any

SLOWEST = 2.0
"""Seconds until a listener is taken to know what was set."""


class WatchedValues:
    """For one event loop.

    Args:
        first_version: versions count from here.
    """

    def __init__(self, first_version: int = 0) -> None:
        self._first = first_version
        self._values: dict[str, tuple[int, Any]] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._seen: dict[str, dict[str, int]] = {}
        """For each key, the version that each listener is known to have."""
        self._moved = asyncio.Event()

    def set(self, key: str, value: Any) -> None:
        """Changes a value, and wakes those who wait for it."""
        version, _ = self._values.get(key, (self._first, None))
        self._values[key] = (version + 1, value)
        for future in self._waiting.pop(key, ()):
            if not future.done():
                future.set_result(None)

    def get(self, key: str) -> tuple[int, Any]:
        """Returns a value with its version; (0, None) where there was none yet."""
        return self._values.get(key, (0, None))

    def heard(self, listener: str, versions: dict[str, int]) -> None:
        """A listener has these versions, and listens on."""
        for key, version in versions.items():
            self._seen.setdefault(key, {})[listener] = version
        self._moved.set()

    async def seen_by_all(self, key: str) -> None:
        """Returns when all who listen to `key` have its current value, or are taken to be gone."""
        version, _ = self.get(key)
        try:
            async with asyncio.timeout(SLOWEST):
                while any(seen < version for seen in self._seen.get(key, {}).values()):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            # Longer than that takes only one whose process is gone: nobody waits for it again. One that is there after all says so itself.
            version, _ = self.get(key)
            self._seen[key] = {listener: seen for listener, seen in self._seen.get(key, {}).items() if seen >= version}

    def gone(self, listener: str) -> None:
        """A listener's process has ended."""
        for seen in self._seen.values():
            seen.pop(listener, None)
        self._moved.set()

    async def newer_than(self, versions: dict[str, int]) -> dict[str, tuple[int, Any]]:
        """Returns the values whose versions are higher than these; waits until there is one."""
        while True:
            found = {
                key: self._values[key]
                for key, version in versions.items()
                if key in self._values and self._values[key][0] > version
            }
            if found:
                return found
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            for key in versions:
                self._waiting.setdefault(key, set()).add(future)
            try:
                await future
            finally:
                for key in versions:
                    self._waiting.get(key, set()).discard(future)
