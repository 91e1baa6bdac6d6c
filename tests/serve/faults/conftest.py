"""Users who ask without a pause."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType

import aiohttp
import pytest


class Load:
    """Asks from a thread of its own, from `with` to its end, and counts the answers by status; 0 is a connection that broke.

    Args:
        url: that is asked for.
        users: who ask at the same time.
    """

    def __init__(self, url: str, users: int) -> None:
        self._url = url
        self._users = users
        self._over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.statuses: Counter[int] = Counter()

    def wait_for(self, more: int) -> None:
        """Returns when so many more have been answered."""
        with self._changed:
            wanted = self.statuses.total() + more
            assert self._changed.wait_for(lambda: self.statuses.total() >= wanted, timeout=50)

    async def _run(self) -> None:
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(self._user(session) for _ in range(self._users)))

    async def _user(self, session: aiohttp.ClientSession) -> None:
        while not self._over:
            try:
                async with session.get(self._url) as response:
                    await response.read()
                    status = response.status
            except aiohttp.ClientError:
                status = 0
            with self._changed:
                self.statuses[status] += 1
                self._changed.notify_all()

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._thread.join()


@pytest.fixture
def load() -> Callable[[str, int], Load]:
    return Load
