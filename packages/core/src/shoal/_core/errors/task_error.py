"""The error that a task's failure becomes: the user's own class and `TaskError` at once."""

from __future__ import annotations

from functools import lru_cache

from shoal._core.errors.anatomy import pickles_itself, put_together, take_apart
from shoal._core.errors.base import ShoalError
from shoal._core.errors.chain import Link, chain_of, hang_on, join_chain
from shoal._core.errors.remote_trace import Hop, RemoteTrace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeAlias

    Record: TypeAlias = tuple[Any, ...]
    """What an exception is made from: an item of `_MAKERS`, and its arguments."""

_FACTS = frozenset(
    {"function_name", "traceback_str", "proctitle", "pid", "ip", "actor_repr", "actor_id", "attempt", "trace"}
)


class TaskError(ShoalError):
    """A task or actor method raised. What `get` raises is an instance of this and of the class of the user's error.

    Args:
        function_name: qualified name of the function or method.
        traceback_str: the remote traceback with its causes, as Python prints it.
        cause: the user's error; None where it could not be brought over.
        proctitle: title of the process, for people.
        pid: process that ran it.
        ip: address of the machine it ran on.
        actor_repr: `repr` of the actor, for methods.
        actor_id: id of the actor (hex), for methods.
        attempt: which attempt failed for good, from 0.
        trace: where it came from; made from the other arguments by default.
    """

    __module__ = "shoal.exceptions"

    def __init__(
        self,
        function_name: str,
        traceback_str: str,
        cause: BaseException | None = None,
        proctitle: str | None = None,
        pid: int | None = None,
        ip: str | None = None,
        actor_repr: str | None = None,
        actor_id: str | None = None,
        *,
        attempt: int = 0,
        trace: RemoteTrace | None = None,
    ) -> None:
        super().__init__(function_name, traceback_str, cause)
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause
        self.proctitle = proctitle
        self.pid = pid
        self.ip = ip
        self.actor_repr = actor_repr
        self.actor_id = actor_id
        self.attempt = attempt
        if trace is None:
            hop = Hop(
                function_name,
                pid=pid,
                ip=ip or "",
                actor_repr=actor_repr or "",
                actor_id=actor_id or "",
                attempt=attempt,
            )
            trace = RemoteTrace((hop,), traceback_str.rstrip("\n"), (), traceback_str)
        self.trace = trace

    @classmethod
    def of_trace(cls, trace: RemoteTrace, cause: BaseException | None) -> TaskError:
        """Makes the error of a task from what is known of its way here."""
        hop = trace.hops[0]
        return TaskError(
            hop.function_name,
            trace.full_text,
            cause,
            pid=hop.pid,
            ip=hop.ip,
            actor_repr=hop.actor_repr or None,
            actor_id=hop.actor_id or None,
            attempt=hop.attempt,
            trace=trace,
        )

    def as_instanceof_cause(self) -> TaskError:
        """Returns the error to raise: an instance of the cause's class too.

        It has the cause's args, attributes, notes and chain. Where the class allows no subclasses, it is this error.
        """
        cause = self.cause
        if cause is None or isinstance(cause, TaskError):
            return self
        raised: TaskError | None = None
        cause_class: type = type(cause)
        raised_class = _raised_class(cause_class)
        if raised_class is not None:
            raised = _as_class(cause, raised_class)
        if raised is None:
            raised = self
            if notes := getattr(cause, "__notes__", None):
                raised.__notes__ = list(notes)
        else:
            raised.__dict__["_task_error"] = self
        hang_on(
            raised,
            cause=cause.__cause__,
            context=cause.__context__,
            suppress_context=cause.__suppress_context__,
        )
        return raised

    def __str__(self) -> str:
        return self.trace.text()

    def __reduce__(self) -> tuple[Any, ...]:
        if type(self) is not TaskError:
            return super().__reduce__()
        links = chain_of(self.cause) if self.cause is not None else []
        for link in links:
            link.error = record_of(link.error)
        others = {name: value for name, value in vars(self).items() if name not in _FACTS and name != "cause"}
        return _rebuild_task_error, (_facts_of(self), links), others or None


class RaisedTaskError(TaskError):
    """What `get` raises: with this class, the class of the user's error is the other base."""

    __module__ = "shoal.exceptions"

    def __init_subclass__(cls) -> None:
        """Keeps hooks of the user's class (registries, required arguments) from running."""

    @property
    def cause(self) -> BaseException | None:  # type: ignore[override]
        """The user's error."""
        return self._task_error.cause

    @property
    def _task_error(self) -> TaskError:
        error: TaskError = self.__dict__["_task_error"]
        return error

    def __getattr__(self, name: str) -> Any:
        # Attributes of the user's error come first; those of TaskError are seen where it has none of the name.
        if name in _FACTS and "_task_error" in self.__dict__:
            return getattr(self._task_error, name)
        users = getattr(super(), "__getattr__", None)
        if users is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)
        return users(name)

    def __str__(self) -> str:
        return str(self._task_error)

    def __reduce__(self) -> tuple[Any, ...]:
        links = chain_of(self)
        links[0].error = record_of_users_error(self)
        for link in links[1:]:
            link.error = record_of(link.error)
        return _rebuild_raised, (_facts_of(self._task_error), links)


@lru_cache(maxsize=1024)
def _raised_class(cause_class: type[BaseException]) -> type[RaisedTaskError] | None:
    """Returns the class of what is raised for errors of `cause_class`; None where that cannot be subclassed."""
    from types import new_class

    name = f"TaskError({cause_class.__name__})"
    body = {"__module__": "shoal.exceptions", "__qualname__": name, "__doc__": cause_class.__doc__}
    try:
        made: type[RaisedTaskError] = new_class(
            name, (RaisedTaskError, cause_class), exec_body=lambda space: space.update(body)
        )
    except Exception:
        # The user's metaclass may refuse with whatever it likes.
        return None
    return made


def _as_class(cause: BaseException, raised_class: type[RaisedTaskError]) -> RaisedTaskError | None:
    members = cause.exceptions if isinstance(cause, BaseExceptionGroup) else None
    _, args, fields, attributes = take_apart(cause)
    try:
        raised = put_together(raised_class, args, fields, attributes, members)
    except Exception:
        # A class with a `__new__` in C of its own, or a group with members that are no `Exception`.
        return None
    return raised if isinstance(raised, RaisedTaskError) else None


# --- How errors travel -----------------------------------------------------------------------------------------------


def record_of(error: BaseException) -> Record:
    """Returns what `from_record` makes the same error from, without what hangs on it."""
    if isinstance(error, RaisedTaskError):
        return "raised", _facts_of(error._task_error), record_of_users_error(error)
    if pickles_itself(type(error)) and not isinstance(error, BaseExceptionGroup):
        return "itself", error, getattr(error, "__notes__", None)
    return "parts", *take_apart(error)


def record_of_users_error(error: RaisedTaskError) -> Record:
    """Returns the record of the user's own error, as it is now (it may have got notes since)."""
    raised_class, args, fields, attributes = take_apart(error)
    task_error = attributes.pop("_task_error")
    assert task_error.cause is not None, raised_class
    cause_class = type(task_error.cause)
    if pickles_itself(cause_class) and not isinstance(error, BaseExceptionGroup):
        return "itself", task_error.cause, attributes.get("__notes__")
    return "parts", cause_class, args, fields, attributes


def from_record(record: Record, members: Sequence[BaseException] | None = None) -> BaseException:
    """Makes the error of a record.

    Args:
        record: from `record_of`.
        members: the members, if it is a group.

    Raises:
        Exception: whatever the user's class objects with.
    """
    kind, *parts = record
    return _MAKERS[kind](*parts, members=members)


def _make_from_parts(
    error_class: type[BaseException],
    args: tuple[Any, ...],
    fields: dict[str, Any],
    attributes: dict[str, Any],
    members: Sequence[BaseException] | None,
) -> BaseException:
    return put_together(error_class, args, fields, attributes, members)


def _make_itself(error: BaseException, notes: list[str] | None, members: object) -> BaseException:
    if notes is not None and not hasattr(error, "__notes__"):
        BaseException.__setattr__(error, "__notes__", notes)
    return error


def _make_raised(facts: dict[str, Any], users: Record, members: Sequence[BaseException] | None) -> BaseException:
    return TaskError(**facts, cause=from_record(users, members)).as_instanceof_cause()


_MAKERS: dict[str, Callable[..., BaseException]] = {
    "parts": _make_from_parts,
    "itself": _make_itself,
    "raised": _make_raised,
}


def _facts_of(error: TaskError) -> dict[str, Any]:
    return {name: getattr(error, name) for name in _FACTS}


def _rebuild_task_error(facts: dict[str, Any], links: list[Link]) -> TaskError:
    cause = join_chain(links, lambda link, members: from_record(link.error, members))[0] if links else None
    return TaskError(**facts, cause=cause)


def _rebuild_raised(facts: dict[str, Any], links: list[Link]) -> TaskError:
    return _rebuild_task_error(facts, links).as_instanceof_cause()
