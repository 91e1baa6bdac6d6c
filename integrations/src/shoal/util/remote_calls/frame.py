"""Several calls of one function that travel to a worker together, and what came of each. Runs in workers.

Values travel as bytes within the frame, not as views of shared memory: what these APIs stand in for gives functions arguments that they may
change, and callers results that they may change.
"""

from __future__ import annotations

import functools
import pickle
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeAlias

from shoal import cloudpickle
from shoal.util.remote_calls.pace import FRAME_SECONDS

Outcome: TypeAlias = tuple[bool, Any]
"""Whether the call returned, and its value or a `Raised`."""


_LONG_SECONDS = 10 * FRAME_SECONDS


class Raised:
    """An exception on its way home.

    Args:
        error: the exception; one that cannot be pickled is replaced by a RuntimeError with its text.
        traceback_text: where it was raised, as text.
    """

    def __init__(self, error: BaseException, traceback_text: str) -> None:
        self.error = error
        self.traceback_text = traceback_text

    def exception(self) -> BaseException:
        """Returns the exception, with the remote traceback as its cause, as the standard library's pools have it."""
        # Workers have no use for it.
        from multiprocessing.pool import RemoteTraceback  # type: ignore[attr-defined] # typeshed lacks it

        self.error.__cause__ = RemoteTraceback(f'\n"""\n{self.traceback_text}"""')
        return self.error


def run_frame(function: bytes, way: str, arguments: bytes, *shared: Any) -> tuple[float, bytes]:
    """Calls a function once for each entry of a list.

    Args:
        function: the pickled function.
        way: one of WAYS.
        arguments: a pickled list of pairs (args, kwargs).
        shared: objects of the session, passed after the args.

    Returns:
        The seconds that the calls took, and a pickled list of outcomes. They are fewer than the calls where one of these took long: those
        after it have not begun, and others may make them.
    """
    call = WAYS[way](load_function(function))
    outcomes = []
    started = time.perf_counter()
    seconds = 0.0
    for args, kwargs in pickle.loads(arguments):
        outcomes.append(_outcome(call, args, kwargs, shared))
        seconds = time.perf_counter() - started
        if seconds > _LONG_SECONDS:
            break
    return seconds, _pickled(outcomes)


@functools.lru_cache(maxsize=128)
def load_function(function: bytes) -> Callable[..., Any]:
    """Returns a pickled function: the same one each time, as processes that were forked have it."""
    loaded: Callable[..., Any] = pickle.loads(function)
    return loaded


def _outcome(call: Callable[..., Any], args: Any, kwargs: dict[str, Any], shared: tuple[Any, ...]) -> Outcome:
    try:
        return True, call(*args, *shared, **kwargs)
    except Exception as error:
        return False, _raised(error)


def _raised(error: BaseException) -> Raised:
    text = "".join(traceback.format_exception(error))
    try:
        pickle.loads(cloudpickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__qualname__}: {error} (the exception itself cannot be pickled)")
    return Raised(error, text)


def _pickled(outcomes: list[Outcome]) -> bytes:
    try:
        return cloudpickle.dumps(outcomes)
    except Exception:
        return cloudpickle.dumps([_sendable(outcome) for outcome in outcomes])


def _sendable(outcome: Outcome) -> Outcome:
    try:
        cloudpickle.dumps(outcome)
    except Exception as reason:
        from shoal.util.remote_calls.unsendable_result import UnsendableResultError

        return False, _raised(UnsendableResultError(repr(reason), repr(outcome[1])))
    return outcome


def _mapped(function: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda items: [function(item) for item in items]


def _starmapped(function: Callable[..., Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda items: [function(*item) for item in items]


WAYS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "call": lambda function: function,
    "map": _mapped,
    "starmap": _starmapped,
}
"""How a function is called: once, or for each item of a list, which is one argument or several."""
