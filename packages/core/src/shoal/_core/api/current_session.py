"""The one session of this process: which it is, how it begins by itself, and what a fork leaves of it."""

from __future__ import annotations

import os
from _thread import RLock
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from shoal.exceptions import ForkedProcessError, NotInitializedError, SessionStartError

if TYPE_CHECKING:
    from shoal._core.api.context import ShoalContext
    from shoal._core.api.engine import Engine

NO_SESSION = 0


class CurrentSession:
    """The session of this process, or none.

    Args:
        start: begins a session with default settings; called for the first call that needs one.
    """

    __slots__ = (
        "_exiting",
        "_hooked",
        "_inherited",
        "_serials",
        "_start",
        "context",
        "detached_by_default",
        "engine",
        "lock",
        "runs_tasks",
        "serial",
    )

    def __init__(self, start: Callable[[], object]) -> None:
        self.engine: Engine | None = None
        self.serial = NO_SESSION
        """Number of the session in this process, NO_SESSION for none. What belongs to a session remembers it."""
        self.context: ShoalContext | None = None
        self.runs_tasks = False
        """Tasks run in this process too, so calls made here may inherit their task's placement group."""
        self.detached_by_default = False
        self.lock = RLock()
        self._start = start
        self._serials = count(1)
        self._inherited = False
        self._exiting = False
        self._hooked = False

    def require(self) -> Engine:
        """Returns the session's engine; begins a session where there is none.

        Raises NotInitializedError where sessions do not begin by themselves, ForkedProcessError in a forked child.
        """
        engine = self.engine
        if engine is None:
            self.check_may_begin()
            if os.environ.get("SHOAL_ENABLE_AUTO_CONNECT", "1") == "0":
                raise NotInitializedError(
                    "No shoal session is running, and SHOAL_ENABLE_AUTO_CONNECT=0 keeps it from starting by itself. "
                    "Call shoal.init() first."
                )
            with self.lock:
                if self.engine is None:
                    self._start()
                engine = self.engine
            if engine is None:
                raise SessionStartError("the session ended while it began")
        return engine

    def running(self) -> Engine:
        """Returns the session's engine. Raises NotInitializedError where there is none."""
        if self.engine is None:
            self.check_may_begin()
            raise NotInitializedError
        return self.engine

    def check_may_begin(self) -> None:
        """Raises where this process cannot have a session (any more)."""
        if self._inherited:
            raise ForkedProcessError
        if self._exiting:
            raise NotInitializedError("The interpreter is exiting: the shoal session has ended and no other can begin.")

    def begin(self, engine: Engine, *, runs_tasks: bool) -> None:
        """Makes `engine` the session of this process."""
        if not self._hooked:
            self._hooked = True
            os.register_at_fork(after_in_child=self._forget_after_fork)
        self._inherited = False
        self.runs_tasks = runs_tasks
        self.engine = engine
        self.serial = next(self._serials)

    def end(self) -> Engine | None:
        """Takes the session away from this process and returns its engine, which the caller shuts down."""
        engine, self.engine = self.engine, None
        self.serial = NO_SESSION
        self.context = None
        self.runs_tasks = False
        self.detached_by_default = False
        return engine

    def exiting(self) -> None:
        """The interpreter exits: no session begins any more."""
        self._exiting = True

    def _forget_after_fork(self) -> None:
        """A session's threads and connections stay with the parent; what is left in the child must not be used."""
        self.lock = RLock()
        if self.end() is not None:
            self._inherited = True
