"""Batches on their way from runners, each of which samples at its own pace, to learners."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

Part = tuple[Any, int]
"""What a runner sampled at once, and how many steps that is."""
Batch = list[Part]


class BatchQueue:
    """Makes batches of what arrives, and hands each out once, the oldest first.

    Args:
        steps: of a batch, at least: what arrives is not cut.
        size: so many batches may wait; then whoever samples is to pause.

    Example:
        >>> queue = BatchQueue(steps=100, size=3)
        >>> for part in ("a", "b", "c"):
        ...     queue.add(part, 50)
        >>> queue.take(), queue.take()
        (['a', 'b'], None)
    """

    hands_out_again = False
    """Whether a batch may be handed out more than once."""

    def __init__(self, steps: int, size: int) -> None:
        self.steps, self.size = steps, size
        self.dropped = 0
        """How many batches went before they were handed out as often as they might have been."""
        self._begun: Batch = []
        self._batches: deque[tuple[Batch, int]] = deque()

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def is_full(self) -> bool:
        return len(self._batches) >= self.size

    def add(self, part: Any, steps: int) -> None:
        """Takes what a runner sampled."""
        self._begun.append((part, steps))
        if sum(steps for _, steps in self._begun) >= self.steps:
            whole, self._begun = self._begun, []
            self._keep(whole)

    def take(self) -> list[Any] | None:
        """Returns the parts of a batch; None where there is none."""
        if not self._batches:
            return None
        index = self._next()
        batch, left = self._batches[index]
        if left > 1:
            self._batches[index] = (batch, left - 1)
        else:
            del self._batches[index]
        return [part for part, _ in batch]

    def _keep(self, batch: Batch) -> None:
        self._batches.append((batch, 1))

    def _next(self) -> int:
        return 0

    def get_state(self, convert: Callable[[Any], Any]) -> dict[str, Any]:
        """Returns all that waits, with each part as `convert` makes it."""

        def plain(batch: Batch) -> Batch:
            return [(convert(part), steps) for part, steps in batch]

        waiting = [(plain(batch), left) for batch, left in self._batches]
        return {"begun": plain(self._begun), "batches": waiting, "dropped": self.dropped}

    def set_state(self, state: dict[str, Any], convert: Callable[[Any], Any]) -> None:
        """Takes what `get_state` gave, with each part as `convert` makes it."""

        def made(batch: Batch) -> Batch:
            return [(convert(part), steps) for part, steps in batch]

        self._begun = made(state["begun"])
        self._batches = deque((made(batch), left) for batch, left in state["batches"])
        self.dropped = state["dropped"]


class CircularBuffer(BatchQueue):
    """Hands each of the newest batches out several times, as chance will have it. It is never full: the oldest makes room.

    Args:
        steps: of a batch, at least.
        size: how many batches there are at most.
        uses: how often each is handed out at most.
        seed: of chance; None for any.
    """

    hands_out_again = True

    def __init__(self, steps: int, size: int, uses: int, seed: int | None) -> None:
        super().__init__(steps, size)
        self.uses = uses
        self._chance = np.random.default_rng(seed)

    @property
    def is_full(self) -> bool:
        return False

    def _keep(self, batch: Batch) -> None:
        if len(self._batches) == self.size:
            self._batches.popleft()
            self.dropped += 1
        self._batches.append((batch, self.uses))

    def _next(self) -> int:
        return int(self._chance.integers(len(self._batches)))

    def get_state(self, convert: Callable[[Any], Any]) -> dict[str, Any]:
        return {**super().get_state(convert), "chance": self._chance.bit_generator.state}

    def set_state(self, state: dict[str, Any], convert: Callable[[Any], Any]) -> None:
        super().set_state(state, convert)
        self._chance.bit_generator.state = state["chance"]
