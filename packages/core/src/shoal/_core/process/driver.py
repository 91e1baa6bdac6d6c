"""A driver's client: the user's program. Shows what workers print, says what long waits wait for, and ends the session it owns."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from shoal._core.process.client import Client
from shoal._core.process.wait_explanation import FIRST_WORD_SECONDS, explain_wait
from shoal._core.system.output_printer import OutputPrinter, repeats_are_counted

if TYPE_CHECKING:
    from shoal._core.logic.output_repeats import OutputRepeats

DAEMON_END_SECONDS = 5.0
LAST_OUTPUT_SECONDS = 2.0


class Driver(Client):
    """The user's program in a native session."""

    def __init__(
        self,
        *,
        worker_id: bytes,
        daemon_address: str,
        job_id: bytes,
        namespace: str,
        daemon_pid: int = 0,
        log_to_driver: bool = True,
        role: str = "driver",
    ) -> None:
        super().__init__(
            worker_id=worker_id, role=role, daemon_address=daemon_address, job_id=job_id, namespace=namespace
        )
        self._daemon_pid = daemon_pid
        """The daemon that ends with us; 0 for one that goes on."""
        self._printer = OutputPrinter()
        self._repeats: OutputRepeats | None = None
        self._repeats_timer: Any = None
        if log_to_driver:
            self.on_output = self._show
        self.on_notice = _say
        self.references.on_long_wait = self._explain
        self.references.patience = FIRST_WORD_SECONDS

    # --- what workers print -------------------------------------------------------------------------------------------------

    def _show(self, lines: list[tuple[str, int, bool, str]]) -> None:
        if not repeats_are_counted(os.environ):
            self._printer.print(lines)
            return
        if self._repeats is None:
            from shoal._core.logic.output_repeats import OutputRepeats

            self._repeats = OutputRepeats()
        self._printer.print(self._repeats.add(time.monotonic(), lines))
        self._arm_repeats()

    def _arm_repeats(self) -> None:
        assert self._repeats is not None
        due = self._repeats.due()
        if due is not None and self._repeats_timer is None:
            self._repeats_timer = self.loop.call_at(due, self._show_repeats)

    def _show_repeats(self) -> None:
        self._repeats_timer = None
        assert self._repeats is not None
        self._printer.print(self._repeats.flush(time.monotonic()))
        self._arm_repeats()

    # --- long waits -----------------------------------------------------------------------------------------------------------

    def _explain(self, object_ids: list[bytes], seconds: float) -> None:
        _say(explain_wait(self, object_ids, seconds))

    # --- the end --------------------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Leaves the session; ends it, with all its processes, where it is ours."""
        if self._closing:
            return
        if self.node.alive:
            try:
                # What workers have printed so far is shown before we go.
                self.node.query("drain_output", timeout=LAST_OUTPUT_SECONDS)
            except Exception as error:
                if self.node.alive:
                    _say(f"the last output of workers may be missing: {error}")
        self._flush_repeats()
        super().shutdown()
        if self._daemon_pid:
            _wait_for_end(self._daemon_pid, DAEMON_END_SECONDS)

    def _flush_repeats(self) -> None:
        if self._repeats is None:
            return
        done = threading.Event()

        def flush() -> None:
            assert self._repeats is not None
            self._printer.print(self._repeats.flush_all())
            done.set()

        self.loop.call_soon(flush)
        done.wait(LAST_OUTPUT_SECONDS)


def _wait_for_end(pid: int, seconds: float) -> None:
    """Waits for our daemon; one that does not end in time is killed (its workers go with it)."""
    import select

    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(seconds * 1000):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            poll.poll(seconds * 1000)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            return  # collected by somebody else (a SIGCHLD handler of the program)
    finally:
        os.close(fd)


def _say(text: str) -> None:
    """Tells the user something, on standard error."""
    stream = sys.stderr
    if stream is not None:
        stream.write(f"shoal: {text}\n")
        stream.flush()
