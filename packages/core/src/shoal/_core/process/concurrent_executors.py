"""Runs the calls of actors that serve several at a time: on threads, or on an event loop. Each concurrency group has its own limit."""

from __future__ import annotations

import inspect
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from shoal._core.process.execution import Execution, Runner, WorkerExit, current_execution
from shoal._core.process.result_outbox import ResultOutbox
from shoal._core.process.sequential_executor import exit_of, wait_for_consumer

DEFAULT_GROUP = ""


class ThreadedExecutor:
    """A pool of threads for each concurrency group, grown as calls come."""

    def __init__(
        self,
        runner: Runner,
        outbox: ResultOutbox,
        function_for: Callable[[Execution], Callable[..., Any]],
        limits: dict[str, int],
    ) -> None:
        self._runner = runner
        self._outbox = outbox
        self._function_for = function_for
        self._limits = limits
        self._queues: dict[str, queue.SimpleQueue[Execution | None]] = {group: queue.SimpleQueue() for group in limits}
        self._threads: dict[str, int] = dict.fromkeys(limits, 0)
        self._open: dict[bytes, Execution] = {}
        self._unfinished = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._exit: WorkerExit | None = None

    def accept(self, executions: list[Execution]) -> None:
        for execution in executions:
            group = execution.call.group if execution.call.group in self._limits else DEFAULT_GROUP
            with self._lock:
                self._open[execution.call.task_id] = execution
                self._unfinished += 1
                grow = self._threads[group] < min(self._limits[group], self._unfinished)
                if grow:
                    self._threads[group] += 1
                waits = self._unfinished > self._threads[group]
            if waits:
                self._runner.ahead.expect(execution.call)
            self._queues[group].put(execution)
            if grow:
                threading.Thread(
                    target=self._serve, args=(self._queues[group],), name=f"shoal-{group or 'calls'}", daemon=True
                ).start()

    def cancel(self, task_id: bytes, recursive: bool) -> None:
        execution = self._open.get(task_id)
        if execution is not None:
            with self._runner.cancelling(task_id, recursive):
                execution.canceled = True
            self._runner.ahead.let_go(execution.call)

    def stop(self, status: int, reason: str, at_once: bool = False) -> None:
        with self._lock:
            self._exit = WorkerExit(status, reason)
            if self._unfinished == 0:
                self._ended.set()

    def run(self) -> WorkerExit:
        self._ended.wait()
        self._outbox.flush()
        assert self._exit is not None
        return self._exit

    def _serve(self, calls: queue.SimpleQueue[Execution | None]) -> None:
        while True:
            execution = calls.get()
            if execution is None:
                return
            self._run_one(execution)

    def _run_one(self, execution: Execution) -> None:
        runner = self._runner
        token = current_execution.set(execution)
        execution.started = time.time()
        result = None
        try:
            if execution.canceled:
                result = runner.canceled(execution)
            else:
                function = self._function_for(execution)
                args, kwargs = runner.arguments(execution)
                value = function(*args, **kwargs)
                if runner.is_stream(execution.call):
                    result = runner.run_stream(execution, value, self._wait_for_consumer)
                else:
                    del args, kwargs
                    result = runner.ended(execution, value)
                del value
        except WorkerExit as exit_request:
            self._exit = exit_request
        except SystemExit as error:
            self._exit = exit_of(error)
        except BaseException as error:
            result = runner.failed(execution, error)
        finally:
            current_execution.reset(token)
        if result is not None:
            self._outbox.add(execution.peer, result, False)
        with self._lock:
            self._open.pop(execution.call.task_id, None)
            self._unfinished -= 1
            if self._exit is not None and (self._unfinished == 0 or result is None):
                self._ended.set()

    def _wait_for_consumer(self, execution: Execution, produced: int) -> None:
        wait_for_consumer(self._runner, execution, produced)


class AsyncExecutor:
    """An event loop in the main thread; sync methods run on it too, and block it, as in Ray."""

    def __init__(
        self,
        runner: Runner,
        outbox: ResultOutbox,
        function_for: Callable[[Execution], Callable[..., Any]],
        limits: dict[str, int],
    ) -> None:
        import asyncio

        self._asyncio = asyncio
        self._runner = runner
        self._outbox = outbox
        self._function_for = function_for
        self._limits = limits
        self._running: dict[str, int] = dict.fromkeys(limits, 0)
        self._waiting: dict[str, deque[Execution]] = {group: deque() for group in limits}
        self._open: dict[bytes, Execution] = {}
        self._exit: WorkerExit | None = None
        self._flush_due = False
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)

    # --- the IO thread ------------------------------------------------------------------------------------------------------

    def accept(self, executions: list[Execution]) -> None:
        self.loop.call_soon_threadsafe(self._start, executions)

    def cancel(self, task_id: bytes, recursive: bool) -> None:
        # An ordinary method may block the loop until what it has called ends. What it calls from now on is left to `_cancel`.
        with self._runner.cancelling(task_id, recursive):
            self.loop.call_soon_threadsafe(self._cancel, task_id, recursive)

    def stop(self, status: int, reason: str, at_once: bool = False) -> None:
        def mark() -> None:
            if self._exit is None:
                self._exit = WorkerExit(status, reason)
            self._end_if_idle()

        self.loop.call_soon_threadsafe(mark)

    # --- the main thread -----------------------------------------------------------------------------------------------------

    def run(self) -> WorkerExit:
        self.loop.run_forever()
        self._outbox.flush()
        assert self._exit is not None
        return self._exit

    def _start(self, executions: list[Execution]) -> None:
        for execution in executions:
            group = execution.call.group if execution.call.group in self._limits else DEFAULT_GROUP
            self._open[execution.call.task_id] = execution
            if self._running[group] < self._limits[group]:
                self._begin(group, execution)
            else:
                self._waiting[group].append(execution)
                self._expect_next(group)

    def _begin(self, group: str, execution: Execution) -> None:
        self._running[group] += 1
        task = self.loop.create_task(self._run_one(group, execution))
        execution.async_task = task

    def _expect_next(self, group: str) -> None:
        waiting = self._waiting[group]
        if waiting and not waiting[0].canceled:
            self._runner.ahead.expect(waiting[0].call)

    def _cancel(self, task_id: bytes, recursive: bool) -> None:
        execution = self._open.get(task_id)
        if execution is None:
            return
        execution.canceled = True
        if execution.async_task is not None:
            with self._runner.cancelling(task_id, recursive):
                execution.async_task.cancel()
        else:
            self._runner.ahead.let_go(execution.call)

    async def _run_one(self, group: str, execution: Execution) -> None:
        runner = self._runner
        current_execution.set(execution)
        execution.started = time.time()
        result = None
        try:
            if execution.canceled:
                result = runner.canceled(execution)
            else:
                function = self._function_for(execution)
                args, kwargs = runner.arguments(execution)
                value = function(*args, **kwargs)
                if inspect.iscoroutine(value) or inspect.isawaitable(value):
                    value = await value
                if runner.is_stream(execution.call):
                    result = await self._run_stream(execution, value)
                else:
                    del args, kwargs
                    result = runner.ended(execution, value)
                del value
        except self._asyncio.CancelledError as error:
            result = runner.canceled(execution) if execution.canceled else runner.failed(execution, error)
        except WorkerExit as exit_request:
            self._exit = exit_request
        except SystemExit as error:
            self._exit = exit_of(error)
        except BaseException as error:
            result = runner.failed(execution, error)
        self._open.pop(execution.call.task_id, None)
        self._running[group] -= 1
        if result is None:
            self.loop.stop()
            return
        self._outbox.add(execution.peer, result, True)
        if not self._outbox.empty and not self._flush_due:
            self._flush_due = True
            self.loop.call_soon(self._flush)
        waiting = self._waiting[group]
        if waiting and self._running[group] < self._limits[group]:
            self._begin(group, waiting.popleft())
            self._expect_next(group)
        self._end_if_idle()

    def _flush(self) -> None:
        self._flush_due = False
        self._outbox.flush()

    def _end_if_idle(self) -> None:
        if self._exit is not None and not self._open:
            self.loop.stop()

    async def _run_stream(self, execution: Execution, items: Any) -> Any:
        runner = self._runner
        if not hasattr(items, "__anext__"):
            return runner.run_stream(execution, items, self._block_for_consumer)
        index = 0
        runner.streams[execution.call.task_id] = execution
        async for item in items:
            if execution.consumed < 0:
                break
            runner.stream_item(execution, index, item)
            index += 1
            while not runner.may_produce(execution, index):
                taken = self._asyncio.Event()

                def wake(event: Any = taken) -> None:
                    self.loop.call_soon_threadsafe(event.set)

                execution.wake_producer = wake
                if runner.may_produce(execution, index):
                    break
                await taken.wait()
        return runner.end_of_stream(execution)

    def _block_for_consumer(self, execution: Execution, produced: int) -> None:
        self._outbox.flush()
        wait_for_consumer(self._runner, execution, produced)
