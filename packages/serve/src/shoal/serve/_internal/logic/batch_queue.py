"""What waits to be worked on together, and when it is time: a batch is full, or its first item has waited long enough."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class BatchQueue(Generic[T]):
    """Decides for one batched function. Times are in seconds, of any clock that does not go back.

    Args:
        max_size: of a batch: items, or the sum of their sizes where there is `size_of`.
        wait: seconds that the first item of a batch may wait for others.
        size_of: the size of an item, where not each counts as one.
    """

    def __init__(self, max_size: int, wait: float, size_of: Callable[[T], int] | None = None) -> None:
        self.max_size = max_size
        self.wait = wait
        self._size_of = size_of
        self._items: deque[tuple[T, float, int]] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T, now: float) -> None:
        """An item arrived."""
        size = 1 if self._size_of is None else self._size_of(item)
        self._items.append((item, now, size))
        self._size += size

    def remove(self, item: T) -> bool:
        """Takes an item out, whose caller has gone. Returns whether it was still waiting."""
        for position, (waiting, _, size) in enumerate(self._items):
            if waiting is item:
                del self._items[position]
                self._size -= size
                return True
        return False

    def due(self) -> float | None:
        """Returns when the next batch is to begin, full or not; None where nothing waits."""
        return self._items[0][1] + self.wait if self._items else None

    def take(self, now: float) -> list[T]:
        """Returns the batch that is to begin now; nothing where it may still wait."""
        if not self._items or (self._size < self.max_size and now < self._items[0][1] + self.wait):
            return []
        batch: list[T] = []
        left = self.max_size
        # What is larger than a batch by itself is a batch by itself.
        while self._items and (self._items[0][2] <= left or not batch):
            item, _, size = self._items.popleft()
            batch.append(item)
            left -= size
            self._size -= size
        return batch
