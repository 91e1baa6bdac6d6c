"""Errors in shoal's words: what tasks raise travels as shoal's TaskError inside Ray's, and Ray's own errors have namesakes."""

from __future__ import annotations

import os
from typing import Any

import ray
import ray.exceptions as of_ray

from shoal import exceptions as of_shoal
from shoal.integrations.engines.carried_errors import CarriedError, carried

_MACHINERY = (os.path.dirname(ray.__file__), os.path.dirname(__file__))

_UNKNOWN = "owner is unknown"
"""What Ray says of references that come from an earlier cluster."""


class TaskFailed(CarriedError):
    """Carries a task's error through Ray."""


class RetriedTaskFailed(TaskFailed):
    """The same, where the task's `retry_exceptions` names the error: Ray runs it again."""


RETRIED = [RetriedTaskFailed]
"""What Ray is told as `retry_exceptions`: the worker, which has the user's classes, decides (`captured`)."""


def captured(
    error: Exception,
    function_name: str,
    retried: bool | tuple[type[BaseException], ...] = False,
    actor_repr: str | None = None,
    actor_id: str | None = None,
) -> TaskFailed:
    """Returns what a worker raises in the place of an error of the user's code.

    Args:
        error: what was raised.
        function_name: qualified name of the function or method.
        retried: the task's `retry_exceptions`.
        actor_repr: `repr` of the actor, for methods.
        actor_id: its id, hex.
    """
    carrier = RetriedTaskFailed if retried is True or (retried and isinstance(error, retried)) else TaskFailed
    return carried(
        carrier,
        error,
        function_name,
        machinery=_MACHINERY,
        ip=_own_ip(),
        actor_repr=actor_repr,
        actor_id=actor_id,
    )


def _own_ip() -> str:
    address: str = ray.util.get_node_ip_address()
    return address


def error_from_ray(error: BaseException) -> BaseException:
    """Returns the error of shoal that says what an error of Ray's says; other errors as they are."""
    if isinstance(error, of_ray.RayTaskError):
        return _of_task(error)
    if isinstance(error, ValueError) and _UNKNOWN in str(error):
        return of_shoal.SessionEndedError("a reference belongs to a session on Ray that has ended")
    if not isinstance(error, of_ray.RayError):
        return error
    for ray_class, translate in _TRANSLATIONS:
        if isinstance(error, ray_class):
            return _with_notes(translate(error), error)
    namesake = getattr(of_shoal, type(error).__name__, None)
    if isinstance(namesake, type) and issubclass(namesake, of_shoal.ShoalError):
        return _with_notes(_plain(namesake, error), error)
    return of_shoal.ShoalSystemError(str(error))


def _of_task(error: Any) -> BaseException:
    cause = error.cause
    while isinstance(cause, of_ray.RayTaskError):
        cause = cause.cause
    if isinstance(cause, TaskFailed):
        return cause.error()
    if isinstance(cause, of_ray.RayError):
        # The runtime's word about a task: it was cancelled, an argument of it is lost.
        return error_from_ray(cause)
    # What Ray itself raises for a task (it returned too few values), and what code on plain Ray raised.
    text = str(error)
    return of_shoal.TaskError(text.partition("\n")[0].partition("::")[2] or "task", text, cause).as_instanceof_cause()


def _plain(shoal_class: type[of_shoal.ShoalError], error: BaseException) -> of_shoal.ShoalError:
    """Makes an error of a class with Ray's text and attributes, whatever arguments its class takes."""
    made = shoal_class.__new__(shoal_class)
    made.args = (str(error),)
    made.__dict__.update({name: value for name, value in vars(error).items() if not name.startswith("_")})
    return made


def _with_notes(made: BaseException, error: BaseException) -> BaseException:
    for note in getattr(error, "__notes__", ()):
        made.add_note(note)
    return made


def _died(error: Any) -> of_shoal.ActorDiedError:
    text = str(error)
    actor_id = getattr(error, "actor_id", None)
    if getattr(error, "_actor_init_failed", False):
        cause = of_shoal.TaskError("__init__", text)
        return of_shoal.ActorDiedError(cause, actor_id=actor_id)
    return of_shoal.ActorDiedError(None, text, actor_id=actor_id, preempted=bool(getattr(error, "preempted", False)))


_TRANSLATIONS: tuple[tuple[Any, Any], ...] = (
    (of_ray.TaskCancelledError, lambda error: of_shoal.TaskCancelledError(_task_id(error), None)),
    (of_ray.ActorUnavailableError, lambda error: _plain(of_shoal.ActorUnavailableError, error)),
    (of_ray.ActorDiedError, _died),
    (of_ray.RayActorError, _died),
    (of_ray.WorkerCrashedError, lambda error: of_shoal.WorkerCrashedError(str(error))),
    (of_ray.LocalRayletDiedError, lambda error: of_shoal.LocalDaemonDiedError(str(error))),
    (of_ray.OutOfMemoryError, lambda error: of_shoal.OutOfMemoryError(str(error))),
)
"""Ray's class -> how to make shoal's, in the order of looking; all others have namesakes."""


def _task_id(error: Any) -> str | None:
    task_id = getattr(error, "task_id", None)
    return task_id.hex() if task_id is not None else None
