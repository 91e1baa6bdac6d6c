"""Errors of the user's code on their way through another system: what it carries, and how shoal's error is made of that again."""

from __future__ import annotations

import os
import pickle
import traceback
from types import TracebackType
from typing import Any, TypeVar

from shoal import cloudpickle
from shoal.exceptions import ShoalError, TaskError

C = TypeVar("C", bound="CarriedError")


class CarriedError(Exception):
    """Carries an error of shoal's through another system.

    Args:
        data: the pickled error; empty where it could not be pickled.
        function_name: what ran.
        text: the remote traceback, or what happened.
    """

    def __init__(self, data: bytes, function_name: str, text: str) -> None:
        super().__init__(data, function_name, text)
        self.data = data
        self.function_name = function_name
        self.text = text

    def __str__(self) -> str:
        return self.text

    def error(self) -> ShoalError:
        """Returns the error, ready to be raised."""
        note = ""
        if self.data:
            try:
                error: ShoalError = pickle.loads(self.data)
            except Exception as failure:
                note = f"\n(The error itself could not be brought over: {type(failure).__name__} while unpickling it: {failure})"
            else:
                return error.as_instanceof_cause() if isinstance(error, TaskError) else error
        return TaskError(self.function_name, self.text + note)


def carried(
    carrier: type[C],
    error: BaseException,
    function_name: str,
    *,
    machinery: tuple[str, ...],
    ip: str,
    actor_repr: str | None,
    actor_id: str | None,
) -> C:
    """Returns what a worker raises in the place of an error of the user's code.

    Args:
        carrier: the class to make.
        error: what was raised.
        function_name: qualified name of the function or method.
        machinery: folders of the code that calls the user's.
        ip: the machine's address.
        actor_repr: `repr` of the actor, for methods.
        actor_id: its id, hex.
    """
    error.__traceback__ = _users_part(error.__traceback__, machinery)
    text = "".join(traceback.format_exception(error))
    travelling = error
    if not isinstance(error, TaskError):
        travelling = TaskError(
            function_name, text, error, pid=os.getpid(), ip=ip, actor_repr=actor_repr, actor_id=actor_id
        )
    try:
        return carrier(cloudpickle.dumps(travelling), function_name, text)
    except Exception as failure:
        return carrier(b"", function_name, f"{text}\n(The error itself could not be brought over: {failure})")


def _users_part(trace: TracebackType | None, machinery: tuple[str, ...]) -> TracebackType | None:
    """Returns a traceback without the frames of the machinery that it begins with."""
    inner = trace
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(machinery):
        inner = inner.tb_next
    return inner or trace


def repr_of_actor(instance: Any, class_name: str) -> str:
    """Returns how an actor shows itself in errors, whatever its `__repr__` does."""
    try:
        return repr(instance)
    except Exception as failure:
        return f"{class_name} (its repr raised {type(failure).__name__})"
