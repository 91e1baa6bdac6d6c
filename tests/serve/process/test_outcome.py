"""Outcomes of calls, from any thread to threads and event loops."""

from __future__ import annotations

import asyncio
import threading

import pytest

from shoal.serve._internal.process.loop_mailbox import running_mailbox
from shoal.serve._internal.process.outcome import Outcome


def settled_by_a_thread(outcome: Outcome, value: object, error: BaseException | None = None) -> threading.Thread:
    thread = threading.Thread(target=outcome.settle, args=(value, error))
    thread.start()
    return thread


def test_the_first_outcome_counts() -> None:
    outcome = Outcome()
    outcome.settle(1, None)
    outcome.settle(None, ValueError("too late"))
    assert outcome.wait(None) == 1
    assert outcome.error is None


def test_threads_wait_for_it() -> None:
    outcome = Outcome()
    with pytest.raises(TimeoutError, match=r"0\.01 s"):
        outcome.wait(0.01)
    thread = settled_by_a_thread(outcome, None, ValueError("bad"))
    with pytest.raises(ValueError, match="bad"):
        outcome.wait(20)
    thread.join()


def test_loops_wait_for_it() -> None:
    async def wait() -> list[object]:
        outcome = Outcome()
        waiting = [asyncio.create_task(outcome.awaited()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting.pop().cancel()
        thread = settled_by_a_thread(outcome, "there")
        found = [await one for one in waiting] + [await outcome.awaited()]
        thread.join()
        return found

    assert asyncio.run(wait()) == ["there"] * 3


def test_callbacks_are_called_once_whenever_they_come() -> None:
    outcome, told = Outcome(), []
    outcome.when_settled(lambda: told.append("before"))
    outcome.settle(None, None)
    outcome.when_settled(lambda: told.append("after"))
    outcome.settle(None, None)
    assert told == ["before", "after"]


def test_outcomes_that_come_together_wake_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait() -> tuple[list[int], int]:
        mailbox, woken = running_mailbox(), 0
        assert running_mailbox() is mailbox
        wake = mailbox.loop.call_soon_threadsafe

        def counted(*args: object) -> object:
            nonlocal woken
            woken += 1
            return wake(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(mailbox.loop, "call_soon_threadsafe", counted)
        futures = [mailbox.loop.create_future() for _ in range(100)]

        def settle() -> None:
            for number, future in enumerate(futures):
                mailbox.settle(future, number, None)

        thread = threading.Thread(target=settle)
        thread.start()
        thread.join()  # The loop stands still meanwhile.
        return [await future for future in futures], woken

    assert asyncio.run(wait()) == (list(range(100)), 1)


def test_what_comes_after_the_loop_has_ended_is_for_nobody() -> None:
    async def mailbox_and_future() -> tuple[object, object]:
        mailbox = running_mailbox()
        return mailbox, mailbox.loop.create_future()

    mailbox, future = asyncio.run(mailbox_and_future())
    for _ in range(2):
        mailbox.settle(future, 1, None)  # type: ignore[attr-defined]
    assert not future.done()  # type: ignore[attr-defined]
