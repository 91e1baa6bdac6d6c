"""Runs the user's code of one call: arguments in, results out, all of them copies."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Generator
from itertools import islice
from typing import Any

from shoal._core.process.dynamic_refs import DynamicObjectRefGenerator
from shoal._core.process.inline.arguments import unpack
from shoal._core.process.inline.calls import Call
from shoal._core.process.inline.seat import Abandoned
from shoal._core.process.inline.session import InlineSession
from shoal._core.schema.definitions import Definition
from shoal._core.schema.options import DYNAMIC, STREAMING
from shoal._core.system.serialization import serialize
from shoal._core.system.task_errors import capture_task_error, dump_error
from shoal.exceptions import DeathCause, TaskCancelledError, WorkerCrashedError


class ActorExit(BaseException):
    """Ends the actor whose code raises it (`exit_actor`)."""


class ProcessExit(BaseException):
    """The code of a call wanted to end its process (`sys.exit`).

    Args:
        status: exit status.
        reason: in words.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    @classmethod
    def of(cls, error: SystemExit) -> ProcessExit:
        """By Python's own rules."""
        if error.code is None:
            return cls(0, "sys.exit()")
        if isinstance(error.code, int):
            return cls(error.code & 0xFF, f"sys.exit({error.code})")
        return cls(1, f"sys.exit({error.code!r})")


class Outcome:
    """How one attempt of a call went.

    Attributes:
        values: for each result the serialized value, and the references in it.
        error: the serialized error; empty for none.
        may_retry: another attempt is made, if there are any left.
        exit: the call wants its actor to end.
    """

    __slots__ = ("error", "error_message", "error_type", "exit", "may_retry", "values")

    def __init__(self, values: list[tuple[bytes, list[Any]]] | None = None) -> None:
        self.values = values or []
        self.error = b""
        self.error_type = ""
        self.error_message = ""
        self.may_retry = False
        self.exit: ActorExit | ProcessExit | None = None

    @classmethod
    def failed(cls, data: bytes, error: BaseException, *, may_retry: bool = False) -> Outcome:
        outcome = cls()
        outcome.error = data
        outcome.error_type = type(error).__name__
        outcome.error_message = str(error)
        outcome.may_retry = may_retry
        return outcome


class Runner:
    """Turns calls into outcomes; knows no queue and no thread."""

    def __init__(self, session: InlineSession) -> None:
        self._session = session
        self._functions: dict[bytes, Any] = {}

    def definition(self, definition: Definition) -> Any:
        """Returns the function or class: a copy, made once a session, as a worker has it."""
        if definition.id not in self._functions:
            self._functions[definition.id] = pickle.loads(definition.data)
        return self._functions[definition.id]

    def arguments(self, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns a call's arguments. Raises what their classes object with."""
        with self._session.turns:
            values = self._session.values_of(call.arguments.dependencies)
        return unpack(call.arguments, values)

    def run(self, call: Call, function_of: Callable[[], Callable[..., Any]]) -> Outcome:
        """Runs a call to its end. Raises Abandoned where nobody wants it any more."""
        try:
            function = function_of()
            args, kwargs = self.arguments(call)
            value = function(*args, **kwargs)
            del args, kwargs
            if call.options.num_returns == STREAMING:
                return self.run_stream(call, value)
            if call.options.num_returns == DYNAMIC:
                value = DynamicObjectRefGenerator([self._session.put(item) for item in value])
            return self.succeeded(call, value)
        except BaseException as error:
            return self.failed(call, error)

    def succeeded(self, call: Call, value: Any) -> Outcome:
        """Packs what a call has returned. Raises SerializationError, ValueError for the wrong number of results."""
        values = []
        for item in self._split(call, value):
            serialized = serialize(item)
            values.append((serialized.to_bytes(), list(serialized.refs)))
        return Outcome(values)

    def failed(self, call: Call, error: BaseException) -> Outcome:
        """What becomes of a call whose code raised. Raises Abandoned on."""
        if isinstance(error, Abandoned):
            raise error
        if call.canceled and (call.actor is None or not isinstance(error, Exception)):
            cancellation = cancelled(call)
            return Outcome.failed(dump_error(cancellation), cancellation)
        if isinstance(error, SystemExit):
            error = ProcessExit.of(error)
        if isinstance(error, (ActorExit, ProcessExit)) and call.actor is not None:
            outcome = Outcome()
            outcome.exit = error
            return outcome
        if isinstance(error, ProcessExit):
            cause = DeathCause(error.reason, pid=os.getpid(), exit_code=error.status)
            crash = WorkerCrashedError(f"{call.describe()} ended its process.", death=cause)
            return Outcome.failed(dump_error(crash), crash, may_retry=True)
        data = capture_task_error(
            error,
            call.function_name,
            pid=self._session.pid,
            actor_id=call.actor.id.hex() if call.actor is not None else "",
            attempt=call.attempt,
            task_name=call.name,
        )
        wanted = call.options.retry_exceptions
        may_retry = isinstance(error, wanted) if isinstance(wanted, tuple) else wanted and isinstance(error, Exception)
        return Outcome.failed(data, error, may_retry=may_retry)

    # --- streams ----------------------------------------------------------------------------------------------------------------

    def run_stream(self, call: Call, items: Any) -> Outcome:
        """Hands out the items of a generator, one by one."""
        for index, item in enumerate(items):
            self.hand_out(call, index, item)
            assert call.stream is not None
            if call.stream.is_closed:
                break
            self._wait_for_consumer(call, index + 1)
        return Outcome()

    def hand_out(self, call: Call, index: int, item: Any) -> None:
        """Makes an item of a stream. Raises SerializationError, Abandoned."""
        self._session.check_not_ended()
        serialized = serialize(item)
        data = serialized.to_bytes()
        with self._session.turns:
            if call.is_over or call.stream is None:
                raise Abandoned
            call.stream.add(index, data, [ref.binary() for ref in serialized.refs])

    def _wait_for_consumer(self, call: Call, produced: int) -> None:
        """Gives the consumer its turn, and waits where it is behind."""
        session, stream = self._session, call.stream
        assert stream is not None
        session.let_others_run()
        while stream.must_wait(produced):
            session.block(
                lambda waiter: stream.when_taken(lambda: waiter.notify(failed=False)),
                lambda waiter: stream.when_taken(_nothing),
                lambda: f"the consumer of its items ({produced} made)",
                None,
            )

    def _split(self, call: Call, value: Any) -> Any:
        count = len(call.return_ids)
        if count == 1:
            return (value,)
        if count == 0:
            return ()
        if isinstance(value, Generator):
            value = list(islice(value, count + 1))
        try:
            length = len(value)
        except TypeError:
            raise ValueError(
                f"{call.function_name} was called with num_returns={count} and returned {type(value).__name__}, "
                f"which is no list or tuple of {count} values"
            ) from None
        if length != count:
            raise ValueError(f"{call.function_name} was called with num_returns={count} and returned {length} values")
        return value


def cancelled(call: Call) -> TaskCancelledError:
    """Returns the error of a cancelled call."""
    return TaskCancelledError(call.task_id.hex(), f"{call.describe()} was cancelled, so it has no result.")


def _nothing() -> None:
    return
