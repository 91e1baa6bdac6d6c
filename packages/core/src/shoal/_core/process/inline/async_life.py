"""Async actors: calls run side by side on one event loop; every concurrency group has its own limit."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from shoal._core.process.inline.actor_life import ActorLife
from shoal._core.process.inline.calls import Call
from shoal._core.process.inline.runner import Outcome
from shoal._core.process.inline.running_call import current_call
from shoal._core.process.inline.seat import Abandoned
from shoal._core.process.inline.turn_taking_loop import TurnTakingLoop
from shoal._core.schema.options import STREAMING

if TYPE_CHECKING:
    from shoal._core.process.inline.actor import Actor
    from shoal._core.process.inline.actors import Actors
    from shoal._core.process.inline.admission import Grant

LAST_SECONDS = 1.0
"""Coroutines of an actor that ends have so long to notice their cancellation."""


class AsyncLife(ActorLife):
    """Runs a loop in its one thread. Sync methods run on it too, and hold it up."""

    def __init__(self, actors: Actors, actor: Actor, grant: Grant) -> None:
        super().__init__(actors, actor, grant)
        self._running = dict.fromkeys(actor.limits, 0)
        """How many calls of each group run."""
        self._loop: TurnTakingLoop | None = None
        self._is_looking = False
        self._is_serving = True

    def look_for_calls(self) -> None:
        if self._loop is not None and self._is_constructed and not self._is_looking:
            self._is_looking = True
            self._call_in_loop(self._begin_calls)

    def cancel(self, call: Call) -> None:
        def cancel() -> None:
            if call.async_task is not None:
                call.async_task.cancel()

        self._call_in_loop(cancel)

    def end(self) -> None:
        loop = self._loop
        if loop is not None and loop.is_resting:
            self._is_over = True
            for seat in self._seats:
                seat.is_abandoned = True
        else:
            super().end()
        if loop is not None:
            self._call_in_loop(self._stop)

    def _call_in_loop(self, callback: Callable[[], object]) -> None:
        loop = self._loop

        def call() -> None:
            # It may close at this moment: then there is nobody left to tell.
            with contextlib.suppress(RuntimeError):
                if loop is not None and not loop.is_closed():
                    loop.call_soon_threadsafe(callback)

        self._turns.call_soon(call)

    def _stop(self) -> None:
        """In the loop."""
        if self._is_serving and self._loop is not None:
            self._loop.stop()

    # --- the loop's thread --------------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        seat = self._session.seat()
        seat.has_loop = True
        loop = TurnTakingLoop(self._turns, seat)
        asyncio.set_event_loop(loop)
        try:
            self._loop = loop
            if self._construct():
                current_call.set(None)
                with self._turns:
                    self.look_for_calls()
                loop.run_forever()
        finally:
            self._is_serving = False
            self._close(loop)

    def _begin_calls(self) -> None:
        """Takes what may run. In the loop."""
        with self._turns:
            self._is_looking = False
            if self._is_over:
                return
            taken: list[Call] = []
            if self._is_drained():
                self._actors.drained(self._actor)
                return
            for group, limit in self._actor.limits.items():
                while self._running[group] < limit:
                    call = self._actor.mailbox.take(group)
                    if call is None:
                        break
                    self._running[group] += 1
                    call.grant = self.grant
                    call.seat = self._session.seat()
                    self._actors.book.started(call)
                    taken.append(call)
        assert self._loop is not None
        for call in taken:
            call.async_task = self._loop.create_task(self._run(call), context=Context())

    async def _run(self, call: Call) -> None:
        current_call.set(call)
        try:
            outcome = await self._attempt(call)
        except Abandoned:
            return
        finally:
            self._running[call.group] -= 1
        with self._turns:
            if self._is_over:
                return
            call.async_task = None
            if outcome.exit is not None:
                self._actors.exited(self._actor, outcome.exit)
            else:
                self._actors.book.settle(call, outcome)
                self.look_for_calls()

    async def _attempt(self, call: Call) -> Outcome:
        runner = self._runner
        try:
            function = self._function_of(call)
            args, kwargs = runner.arguments(call)
            value = function(*args, **kwargs)
            del args, kwargs
            if call.options.num_returns == STREAMING:
                if hasattr(value, "__anext__"):
                    return await self._run_stream(call, value)
                return runner.run_stream(call, value)
            if inspect.isawaitable(value):
                value = await value
            return runner.succeeded(call, value)
        except BaseException as error:
            if self._is_over:
                raise Abandoned from None
            return runner.failed(call, error)

    async def _run_stream(self, call: Call, items: Any) -> Outcome:
        produced = 0
        async for item in items:
            self._runner.hand_out(call, produced, item)
            produced += 1
            stream = call.stream
            assert stream is not None
            if stream.is_closed:
                break
            while stream.must_wait(produced):
                taken = asyncio.Event()
                with self._turns:
                    if stream.must_wait(produced):
                        stream.when_taken(lambda event=taken: self._call_in_loop(event.set))  # type: ignore[misc]
                    else:
                        taken.set()
                await taken.wait()
        return Outcome()

    def _close(self, loop: TurnTakingLoop) -> None:
        """Cancels what is left, lets it notice, and closes the loop."""
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        try:
            if left:
                loop.run_until_complete(_gone(left))
            if self._is_constructed:  # else the thread has no turn any more
                loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            _end_executor(getattr(loop, "_default_executor", None))
            loop.close()


async def _gone(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks, timeout=LAST_SECONDS)


def _end_executor(executor: Any) -> None:
    """Ends the threads of `asyncio.to_thread`; those that are busy go on alone."""
    if executor is None:
        return
    executor.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + LAST_SECONDS
    for thread in executor._threads:
        thread.join(max(0.0, deadline - time.monotonic()))
