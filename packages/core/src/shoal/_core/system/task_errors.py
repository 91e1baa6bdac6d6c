"""Errors on their way between processes.

A worker captures what a task raised; whoever gets the result loads it and raises it. The error comes back as itself:
an instance of its own class (and of `TaskError`), with args, attributes, notes, causes and members. An exception that
cannot be pickled comes back as a `TaskError` with its text.

The form is a pickle of (trace, links): where the error was raised, and the exceptions that hang together, the raised
one first. Each exception is pickled apart, so one that fails costs only itself.
"""

from __future__ import annotations

from pickle import dumps, loads
from typing import Any, NamedTuple

from shoal._core.errors.chain import Link, chain_of, hang_on, join_chain
from shoal._core.errors.remote_trace import Hop, RemoteTrace
from shoal._core.errors.task_error import RaisedTaskError, from_record, record_of, record_of_users_error
from shoal._core.system.serialization import deserialize, serialize
from shoal.exceptions import DeathCause, ShoalSystemError, TaskError, UnserializableException

_PROTOCOL = 5


def capture_task_error(
    error: BaseException,
    function_name: str,
    *,
    pid: int | None = None,
    ip: str = "",
    actor_repr: str = "",
    actor_id: str = "",
    attempt: int = 0,
    task_name: str = "",
) -> bytes:
    """Returns an error that a task raised, in the form that travels. Never raises.

    Args:
        error: what the user's code raised, with its traceback.
        function_name: qualified name of the function or method that ran.
        pid: this process.
        ip: address of this machine.
        actor_repr: `repr` of the actor, for methods.
        actor_id: id of the actor (hex), for methods.
        attempt: which attempt it was, from 0.
        task_name: name of the task, if it has one other than the function's.
    """
    name = function_name if task_name in ("", function_name) else f"{task_name} = {function_name}"
    hop = Hop(name, pid=pid, ip=ip, actor_repr=actor_repr, actor_id=actor_id, attempt=attempt)
    try:
        return _capture(error, hop)
    except Exception as failure:
        # Classes of users can fail at anything, even at being asked for their name.
        text = _unexamined(error, failure)
        return dumps((RemoteTrace((hop,), text, (), text), [Link(Packed(None, text), ())]), _PROTOCOL)


def dump_error(error: BaseException) -> bytes:
    """Returns any error in the form that travels; `load_error` gives it back as it is. Never raises.

    For errors of the runtime (an actor's death), and for those of tasks that are passed on.
    """
    try:
        return dumps((None, _packed_chain(error, None)), _PROTOCOL)
    except Exception as failure:
        return dumps((None, [Link(Packed(None, _unexamined(error, failure)), ())]), _PROTOCOL)


def load_error(data: bytes | bytearray | memoryview) -> BaseException:
    """Returns an error that is ready to be raised, a new one at each call. Never raises.

    Args:
        data: from `capture_task_error` or `dump_error`.
    """
    try:
        trace, links = loads(data)
        errors = join_chain(links, _unpacked)
    except Exception as failure:
        return ShoalSystemError(f"an error from another process could not be read ({_class_name(failure)}: {failure})")
    if trace is None:
        return errors[0]
    root: Packed = links[0].error
    return _task_error(trace, errors[0], root)


def error_text(data: bytes | bytearray | memoryview) -> str:
    """Returns what `str` of the loaded error says, without unpickling anything of the user's where that is possible."""
    trace: RemoteTrace | None = loads(data)[0]
    return str(load_error(data)) if trace is None else trace.text()


def dump_cause(cause: DeathCause) -> bytes:
    """Returns why a process died, in the form that travels."""
    return dumps(cause, _PROTOCOL)


def load_cause(data: bytes) -> DeathCause:
    """Returns why a process died; an empty cause for no data."""
    if not data:
        return DeathCause()
    cause: DeathCause = loads(data)
    return cause


class Packed(NamedTuple):
    """One exception of a chain on its way.

    Attributes:
        data: its serialized record; None where it cannot be pickled.
        text: its last line, with the reason if it cannot be pickled.
        notes: its notes.
    """

    data: bytes | None
    text: str
    notes: tuple[str, ...] = ()


def _capture(error: BaseException, hop: Hop) -> bytes:
    from shoal._core.system.traceback_text import frames_text, full_text

    hop.frames = frames_text(error.__traceback__)
    if isinstance(error, TaskError):
        # It went through this process: what was raised is what the other task raised.
        trace = error.trace.with_hop(hop, full_text(error))
        if isinstance(error, RaisedTaskError):
            links = _packed_chain(error, record_of_users_error(error))
        elif error.cause is not None:
            links = _packed_chain(error.cause)
        else:
            links = _packed_chain(error)
            links[0].error = Packed(None, trace.last_line, links[0].error.notes)
        return dumps((trace, links), _PROTOCOL)
    links = _packed_chain(error)
    trace = RemoteTrace((hop,), links[0].error.text, _causes_of(error), full_text(error))
    return dumps((trace, links), _PROTOCOL)


def _causes_of(error: BaseException) -> tuple[str, ...]:
    from shoal._core.system.traceback_text import one_line

    lines: list[str] = []
    seen = {id(error)}
    inner: BaseException | None = error
    while inner is not None and len(lines) < 10:
        if inner.__cause__ is not None:
            inner, how = inner.__cause__, "caused by"
        elif inner.__context__ is not None and not inner.__suppress_context__:
            inner, how = inner.__context__, "while handling"
        else:
            break
        if id(inner) in seen:
            break
        seen.add(id(inner))
        lines.append(f"{how} {one_line(inner)}")
    return tuple(lines)


def _packed_chain(root: BaseException, root_record: Any = None) -> list[Link]:
    links = chain_of(root)
    for place, link in enumerate(links):
        link.error = _packed(link.error, root_record if place == 0 else None)
    return links


def _packed(error: BaseException, record: Any) -> Packed:
    from shoal._core.system.traceback_text import last_line

    text = last_line(error)
    notes = getattr(error, "__notes__", ())
    notes = tuple(note for note in notes if type(note) is str) if isinstance(notes, (list, tuple)) else ()
    try:
        return Packed(serialize(record or record_of(error)).to_bytes(), text, notes)
    except Exception as failure:
        return Packed(None, _with_reason(text, _refusal_text(error, failure)), notes)


def _refusal_text(error: BaseException, failure: Exception) -> str:
    from shoal._core.errors.anatomy import take_apart
    from shoal._core.system.serializability import explain_unserializable

    try:
        error_class, args, fields, attributes = take_apart(error)
        for name, value in {"args": args, **fields, **attributes}.items():
            text = explain_unserializable(value, f"{error_class.__name__}.{name}")
            if text:
                return text
    except Exception as second:
        return f"{failure}; {_class_name(second)} while looking for the reason"
    return str(failure)


def _unpacked(link: Link, members: list[BaseException] | None) -> BaseException:
    packed: Packed = link.error
    if packed.data is not None:
        try:
            return from_record(deserialize(packed.data), members)
        except Exception as failure:
            reason = f"{_class_name(failure)} while unpickling it: {failure}"
            link.error = packed = Packed(None, _with_reason(packed.text, reason), packed.notes)
    stand_in = UnserializableException(packed.text)
    for note in packed.notes:
        stand_in.add_note(note)
    return stand_in


def _task_error(trace: RemoteTrace, error: BaseException, packed: Packed) -> TaskError:
    if packed.data is not None:
        return TaskError.of_trace(trace, error).as_instanceof_cause()
    task_error = TaskError.of_trace(RemoteTrace(trace.hops, packed.text, trace.causes, trace.full_text), None)
    for note in packed.notes:
        task_error.add_note(note)
    hang_on(
        task_error,
        cause=error.__cause__,
        context=error.__context__,
        suppress_context=error.__suppress_context__,
    )
    return task_error


def _with_reason(text: str, reason: str) -> str:
    return f"{text}\n(The error itself could not be brought over: {reason})"


def _unexamined(error: BaseException, failure: Exception) -> str:
    return f"{_class_name(error)} (which could not be examined: {_class_name(failure)})"


def _class_name(error: BaseException) -> str:
    return type(error).__name__
