"""Outcomes on their way from other threads to an event loop: those that come together wake it once."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from typing import Any


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Returns the loop that runs in this thread; None where none does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class LoopMailbox:
    """Settles the futures of one event loop, from any thread."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._arrived: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._woken = False

    def settle(self, future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
        """Ends a future of the loop, unless it has ended by then: with the value where there is no error."""
        if running_loop() is self.loop:
            _settle(future, value, error)
            return
        self._arrived.append((future, value, error))
        # The flag goes down before the outcomes are taken: one that comes later wakes the loop again.
        if self._woken:
            return
        self._woken = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            # The loop is closed: nobody waits there any more.
            self._arrived.clear()
            self._woken = False

    def _deliver(self) -> None:
        self._woken = False
        arrived = self._arrived
        for _ in range(len(arrived)):
            _settle(*arrived.popleft())


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


class _MailboxOfThread(threading.local):
    """The mailbox of the loop that runs in each thread."""

    mailbox: LoopMailbox | None = None


_OF_THREAD = _MailboxOfThread()


def running_mailbox() -> LoopMailbox:
    """Returns the mailbox of the running loop. Raises RuntimeError where none runs."""
    mailbox = _OF_THREAD.mailbox
    if mailbox is None or mailbox.loop is not asyncio.get_running_loop():
        mailbox = _OF_THREAD.mailbox = LoopMailbox()
    return mailbox


async def outcome_of(future: Future[Any]) -> Any:
    """Waits for a future of another thread. Its work goes on where the waiting coroutine is cancelled."""
    mailbox = running_mailbox()
    here: asyncio.Future[Any] = mailbox.loop.create_future()

    def done(ended: Future[Any]) -> None:
        error = ended.exception()
        mailbox.settle(here, ended.result() if error is None else None, error)

    future.add_done_callback(done)
    return await here
