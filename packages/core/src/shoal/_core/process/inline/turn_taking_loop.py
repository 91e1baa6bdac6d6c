"""An asyncio event loop that runs in its thread's turn, and gives the turn away when it has nothing to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

    from shoal._core.process.inline.seat import Seat
    from shoal._core.process.inline.turns import Turns

_Ts = TypeVarTuple("_Ts")
_Events = list[tuple[selectors.SelectorKey, int]]


class TurnTakingSelector(selectors.BaseSelector):
    """A selector whose `select` is where the loop rests.

    Args:
        turns: whose turn it is.
        seat: the loop's thread's.
    """

    def __init__(self, turns: Turns, seat: Seat) -> None:
        self._selector = selectors.DefaultSelector()
        self._turns = turns
        self._seat = seat
        self.is_resting = False
        """Nothing is to be done; the thread waits in `select`."""
        self._is_called = False

    def select(self, timeout: float | None = None) -> _Events:
        if self._turns.closed:
            return self._selector.select(timeout)
        if timeout is not None and timeout <= 0:
            self._turns.turn(self._seat)
            return self._selector.select(0)
        if len(self._selector.get_map()) > 1:
            return self._select_outside(timeout)
        with self._turns:
            if self._is_called:
                self._is_called = False
                return self._selector.select(0)
            self.is_resting = True
            self._turns.begin_wait(self._seat, None, timed=timeout is not None)
        self._turns.wait(self._seat, timeout)
        with self._turns:
            self.is_resting = self._is_called = False
        return self._selector.select(0)

    def _select_outside(self, timeout: float | None) -> _Events:
        """The user's code waits for sockets or the like: without the turn, until something comes."""
        with self._turns:
            self._turns.let_stray(self._seat)
        events = self._selector.select(timeout)
        with self._turns:
            self._turns.begin_wait(self._seat, None, timed=False)
            self._turns.wake(self._seat)
        self._turns.wait(self._seat, None)
        return events

    def call(self) -> None:
        """Something has been put in the loop's queue from another thread."""
        with self._turns:
            self._is_called = True
            if self.is_resting:
                self._turns.wake(self._seat)

    # --- what is the real selector's --------------------------------------------------------------------------------------------

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._selector.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._selector.unregister(fileobj)

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._selector.modify(fileobj, events, data)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._selector.get_map()

    def close(self) -> None:
        self._selector.close()


class TurnTakingLoop(asyncio.SelectorEventLoop):
    """The loop of an async actor.

    Args:
        turns: whose turn it is.
        seat: the loop's thread's.
    """

    def __init__(self, turns: Turns, seat: Seat) -> None:
        self._turn_taking_selector = TurnTakingSelector(turns, seat)
        super().__init__(self._turn_taking_selector)

    @property
    def is_resting(self) -> bool:
        return self._turn_taking_selector.is_resting

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        self._turn_taking_selector.call()
        return handle
