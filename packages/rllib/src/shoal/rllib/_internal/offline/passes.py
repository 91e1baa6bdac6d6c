"""Recorded steps in the order in which they are learned from: window after window of the data, each in an order of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.rllib.utils.error import OfflineDataError

Numbers = NDArray[np.int64]
Windows = Callable[[], Iterator[Any]]


class Deal:
    """Deals out the steps of windows, each once in a pass, or parts of their chunks. The order depends on the seed and the window's number.

    Args:
        windows: begins a pass: returns an iterator of windows, which have a length in steps, and `lengths` of chunks.
        seed: of the orders; None for any.
    """

    def __init__(self, windows: Windows, seed: int | None) -> None:
        self._windows = windows
        self._entropy: Any = np.random.SeedSequence(seed).entropy
        self._iterator: Iterator[Any] = iter(())
        self._window: Any = None
        self._number, self._place = -1, -1  # of the window: of all passes, and in this one
        self._begin(None)

    def _begin(self, window: Any) -> None:
        self._window = window
        self._steps: Numbers | None = None
        self._chunks: Numbers | None = None
        self._at = 0  # steps dealt out
        self._chunk_at, self._offset = 0, 0  # whole chunks dealt out, and steps of the next one

    def _advance(self) -> None:
        window = next(self._iterator, None)
        if window is None:
            self._iterator, self._place = self._windows(), -1
            window = next(self._iterator, None)
            if window is None:
                raise OfflineDataError("the recorded data has no steps")
        self._number += 1
        self._place += 1
        self._begin(window)

    def _order(self, count: int, kind: int) -> Numbers:
        return np.random.default_rng((self._entropy, self._number, kind)).permutation(count)

    def next_steps(self, count: int) -> list[tuple[Any, Numbers]]:
        """Returns so many steps: pairs of a window, and numbers of steps in it."""
        parts: list[tuple[Any, Numbers]] = []
        while count > 0:
            if self._window is None or self._at == len(self._window):
                self._advance()
            if self._steps is None:
                self._steps = self._order(len(self._window), 0)
            taken = self._steps[self._at : self._at + count]
            parts.append((self._window, taken))
            self._at += len(taken)
            count -= len(taken)
        return parts

    def next_chunks(self, steps: int) -> list[tuple[Any, int, int, int]]:
        """Returns parts of chunks with so many steps together: windows, chunks, first steps and the steps after the last ones.

        Chunks come whole; the last is cut where there are enough, and the next call goes on with its rest.
        """
        parts: list[tuple[Any, int, int, int]] = []
        while steps > 0:
            if self._window is None or self._chunk_at == len(self._window.lengths):
                self._advance()
            if self._chunks is None:
                self._chunks = self._order(len(self._window.lengths), 1)
            chunk = int(self._chunks[self._chunk_at])
            length = int(self._window.lengths[chunk])
            stop = min(length, self._offset + steps)
            parts.append((self._window, chunk, self._offset, stop))
            steps -= stop - self._offset
            if stop == length:
                self._chunk_at, self._offset = self._chunk_at + 1, 0
            else:
                self._offset = stop
        return parts

    def get_state(self) -> dict[str, Any]:
        """Returns where it stands: small, as orders follow from it."""
        names = ("entropy", "number", "place", "at", "chunk_at", "offset")
        return {name: getattr(self, f"_{name}") for name in names}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Has it go on where another one stood, on the same data."""
        self._entropy = state["entropy"]
        self._iterator, self._place, self._number = iter(()), -1, -1
        self._begin(None)
        for _ in range(int(state["place"]) + 1):
            self._advance()
        for name in ("number", "place", "at", "chunk_at", "offset"):
            setattr(self, f"_{name}", state[name])
        self._steps = self._chunks = None
