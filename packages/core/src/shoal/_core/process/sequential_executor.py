"""Runs calls one after another in the main thread: ordinary tasks, and actors without concurrency."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from shoal._core.process.execution import Execution, Runner, WorkerExit, current_execution
from shoal._core.process.result_outbox import ResultOutbox
from shoal._core.schema.messages import INLINE, StreamItem, TaskResult
from shoal._core.system.event_loop import EventLoop

PATIENCE_SECONDS = 0.01
"""A task that runs longer than this while others queue behind it: they are handed back to their owners."""
CHECK_SECONDS = 0.002


class SequentialExecutor:
    """`accept` comes from the IO thread; `run` is the main thread's loop."""

    def __init__(
        self,
        runner: Runner,
        outbox: ResultOutbox,
        loop: EventLoop,
        function_for: Callable[[Execution], Callable[..., Any]],
        hand_back: Callable[[list[Execution]], None] | None,
        name_output: Callable[[str], None],
    ) -> None:
        self._runner = runner
        self._outbox = outbox
        self._loop = loop
        self._function_for = function_for
        self._hand_back = hand_back
        """None for actors: their calls can run nowhere else."""
        self._name_output = name_output
        self._inbox: deque[Execution] = deque()
        self._idle_lock = threading.Lock()
        self._sleeping = False
        self._wake = threading.Lock()
        self._wake.acquire()
        self._running: Execution | None = None
        self._running_since = 0.0
        self._interruptible = False
        self._check_armed = False
        self._exit: WorkerExit | None = None
        self._exit_at_once = False
        self._main_thread = threading.main_thread().ident
        self.runs_in_main_thread = True

    # --- the IO thread ------------------------------------------------------------------------------------------------------

    def accept(self, executions: list[Execution]) -> None:
        self._inbox.extend(executions)
        with self._idle_lock:
            if self._sleeping:
                self._sleeping = False
                self._wake.release()
        if self._running is not None:
            self._expect_next()
        if not self._check_armed and (len(executions) > 1 or self._running is not None):
            self._arm_check()

    def _expect_next(self) -> None:
        """Opens the arguments of the call that runs next. From any thread."""
        try:
            execution = self._inbox[0]
        except IndexError:
            return
        self._runner.ahead.expect(execution.call)

    def _arm_check(self) -> None:
        self._check_armed = True
        self._loop.call_later(CHECK_SECONDS, self._check)

    def _watch_outbox(self) -> None:
        """Sees to it that what is kept in the outbox leaves it soon. On the main thread."""
        if not self._outbox.empty and not self._check_armed:
            self._loop.call_soon(self._arm_check_once)

    def _arm_check_once(self) -> None:
        if not self._check_armed:
            self._arm_check()

    def _check(self) -> None:
        """While calls queue: results must not wait for a long task, nor calls behind one."""
        self._check_armed = False
        self._outbox.flush()
        is_late = self._running is not None and time.monotonic() - self._running_since > PATIENCE_SECONDS
        if self._inbox and is_late and self._hand_back is not None:
            self.hand_back_queued()
        if self._inbox or not self._outbox.empty:
            self._arm_check()

    def hand_back_queued(self) -> None:
        """Gives back all that has not begun. From any thread."""
        if self._hand_back is None:
            return
        back = []
        while True:
            try:
                back.append(self._inbox.pop())
            except IndexError:
                break
        if back:
            for execution in back:
                self._runner.ahead.end(execution.call)
            back.reverse()
            self._hand_back(back)

    def cancel(self, task_id: bytes, recursive: bool) -> None:
        """Drops the call if it waits, interrupts it if it runs."""
        running = self._running
        if running is not None and running.call.task_id == task_id:
            with self._runner.cancelling(task_id, recursive):
                running.canceled = True
                if self._hand_back is not None and self._main_thread is not None:
                    signal.pthread_kill(self._main_thread, signal.SIGINT)
            return
        for execution in list(self._inbox):
            if execution.call.task_id == task_id:
                execution.canceled = True
                try:
                    self._inbox.remove(execution)
                except ValueError:
                    return  # it begins just now, and sees that it is cancelled
                self._outbox.add(execution.peer, self._runner.canceled(execution), False)

    def stop(self, status: int, reason: str, at_once: bool = False) -> None:
        """Ends `run` when all calls that have arrived are done; `at_once`: after the one that runs."""
        self._exit = WorkerExit(status, reason)
        self._exit_at_once = at_once
        with self._idle_lock:
            if self._sleeping:
                self._sleeping = False
                self._wake.release()

    # --- the main thread ---------------------------------------------------------------------------------------------------------

    def on_interrupt(self, signal_number: int, frame: Any) -> None:
        """SIGINT handler: only a cancelled call in the user's code is interrupted."""
        running = self._running
        if self._interruptible and running is not None and running.canceled:
            raise KeyboardInterrupt

    def run(self) -> WorkerExit:
        """Serves calls until the process shall end; returns why."""
        inbox = self._inbox
        while True:
            try:
                execution = inbox.popleft()
            except IndexError:
                self._outbox.flush()
                with self._idle_lock:
                    if inbox:
                        continue
                    if self._exit is not None:
                        return self._exit
                    self._sleeping = True
                self._wake.acquire()
                continue
            if inbox:
                self._expect_next()
            try:
                self._run_one(execution)
            except WorkerExit as exit_request:
                self._outbox.flush()
                return exit_request
            if self._exit_at_once and self._exit is not None:
                self._outbox.flush()
                return self._exit

    def _run_one(self, execution: Execution) -> None:
        runner = self._runner
        token = current_execution.set(execution)
        self._running_since = time.monotonic()
        self._running = execution
        execution.started = time.time()
        try:
            if execution.canceled:
                result = runner.canceled(execution)
            else:
                try:
                    function = self._function_for(execution)
                    self._name_output(execution.name)
                    args, kwargs = runner.arguments(execution)
                    self._interruptible = True
                    value = function(*args, **kwargs)
                    if runner.is_stream(execution.call):
                        del args, kwargs
                        result = runner.run_stream(execution, value, self._wait_for_consumer, self._send_item)
                        self._interruptible = False
                    else:
                        self._interruptible = False
                        del args, kwargs
                        result = runner.ended(execution, value)
                    del value
                except KeyboardInterrupt as error:
                    self._interruptible = False
                    result = runner.interrupted(execution, error)
                except WorkerExit:
                    raise
                except SystemExit as error:
                    raise exit_of(error) from None
                except BaseException as error:
                    self._interruptible = False
                    result = runner.failed(execution, error)
        finally:
            self._interruptible = False
            self._running = None
            current_execution.reset(token)
        self._add(execution, result)

    def _add(self, execution: Execution, result: TaskResult | StreamItem, may_wait: bool = True) -> None:
        self._outbox.add(execution.peer, result, may_wait and bool(self._inbox) and not execution.call.alone)
        self._watch_outbox()

    def _send_item(self, execution: Execution, item: StreamItem) -> None:
        # What is in the store is known to nobody until this has arrived.
        self._add(execution, item, may_wait=item.value.kind == INLINE)

    def _wait_for_consumer(self, execution: Execution, produced: int) -> None:
        self._outbox.flush()
        wait_for_consumer(self._runner, execution, produced)


def wait_for_consumer(runner: Runner, execution: Execution, produced: int) -> None:
    """Blocks the calling thread until back-pressure lets the stream go on."""
    wake = threading.Event()
    execution.wake_producer = wake.set
    while not runner.may_produce(execution, produced):
        wake.wait()
        wake.clear()
    execution.wake_producer = None


def exit_of(error: SystemExit) -> WorkerExit:
    """What the process's exit status is for a SystemExit, by Python's own rules."""
    if error.code is None:
        return WorkerExit(0, "sys.exit()")
    if isinstance(error.code, int):
        return WorkerExit(error.code & 0xFF, f"sys.exit({error.code})")
    return WorkerExit(1, f"sys.exit({error.code!r})")
