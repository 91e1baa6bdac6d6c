"""`get`, `put`, `wait` and `cancel`: what users do with references."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeVar, cast, overload

from shoal._core.api.checks import flag, integer, seconds
from shoal._core.api.generator import ObjectRefGenerator
from shoal._core.api.runtime import SESSION
from shoal._core.process.object_ref import ObjectRef
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, SessionEndedError

T = TypeVar("T")
W = TypeVar("W", bound="ObjectRef[Any] | ObjectRefGenerator[Any]")

_id_of: Any = vars(ObjectRef)["_id"].__get__
"""The slot's own getter: it raises TypeError for everything that is no ObjectRef, so that one pass finds ids and checks types."""


@overload
def get(object_refs: ObjectRef[T], *, timeout: float | None = None) -> T: ...
@overload
def get(object_refs: ObjectRefGenerator[T], *, timeout: float | None = None) -> ObjectRefGenerator[T]: ...
@overload
def get(object_refs: Sequence[ObjectRef[T]], *, timeout: float | None = None) -> list[T]: ...
def get(object_refs: Any, *, timeout: float | None = None) -> Any:
    """Returns the value of a reference, or the values of a list of them; waits until they are there.

    Large arrays come as read-only views of shared memory.

    Args:
        object_refs: a reference, or a list of references. (A generator of references is returned as it is.)
        timeout: seconds to wait at most; 0 only looks, None waits for as long as it takes.

    Raises:
        GetTimeoutError: (a TimeoutError) not all were there in time.
        TaskError: a task raised; the error is also of the class that the task has raised.
        ShoalError: the value is lost (see `shoal.exceptions`).
        InvalidOptionError: (a ValueError) object_refs is neither reference nor list.
        InvalidOptionTypeError: (a TypeError) an item of the list is no reference.

    Example:
        >>> import shoal
        >>> shoal.get([shoal.put("a"), shoal.put("b")], timeout=10)
        ['a', 'b']
        >>> shoal.shutdown()
    """
    engine = SESSION.engine
    if timeout is not None:
        timeout = None if timeout == -1 else seconds("timeout", timeout)
    if isinstance(object_refs, ObjectRef):
        if engine is None:
            raise _no_session_for(object_refs)
        if SESSION.runs_tasks:
            warn_if_blocking_loop("get")
        return engine.get((object_refs,), timeout)[0]
    if isinstance(object_refs, ObjectRefGenerator):
        return object_refs
    if not isinstance(object_refs, list):
        raise InvalidOptionError("object_refs", object_refs, "give a reference, or a list of references")
    for index, ref in enumerate(object_refs):
        if not isinstance(ref, ObjectRef):
            raise InvalidOptionTypeError(
                f"object_refs[{index}]",
                ref,
                "give what .remote() or shoal.put() returned; references inside of values stay references",
            )
    if not object_refs:
        return []
    if engine is None:
        raise _no_session_for(object_refs[0])
    if SESSION.runs_tasks:
        warn_if_blocking_loop("get")
    return engine.get(object_refs, timeout)


def put(value: T) -> ObjectRef[T]:
    """Puts a value in the object store and returns a reference to it. Tasks that get the reference share the one copy.

    Args:
        value: anything that can be pickled. It is copied: what happens to it later does not show.

    Raises:
        InvalidOptionTypeError: (a TypeError) the value is a reference already.
        SerializationError: (a TypeError) it cannot be pickled.
        ObjectStoreFullError: there is no room for it.

    Example:
        >>> import shoal
        >>> ref = shoal.put([1, 2, 3])
        >>> shoal.get(ref)
        [1, 2, 3]
        >>> shoal.shutdown()
    """
    if isinstance(value, ObjectRef):
        raise InvalidOptionTypeError(
            "value", value, "it is a reference already; to store a reference to a reference, put it in a list"
        )
    engine = SESSION.engine or SESSION.require()
    return engine.put(value)


def wait(
    ray_waitables: list[W], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[W], list[W]]:
    """Waits until some of several references are ready. Returns those that are, at most `num_returns`, and the others.

    A reference is ready when its task has ended, or failed; a generator, when its next item is there. Both lists keep the order
    in which they were given.

    Args:
        ray_waitables: references and generators, all different.
        num_returns: how many to wait for.
        timeout: seconds to wait at most; 0 only looks, None waits for as long as it takes.
        fetch_local: False if the value may be on another machine.

    Raises:
        InvalidOptionError: (a ValueError) num_returns or timeout out of range, or something is in the list twice.
        InvalidOptionTypeError: (a TypeError) something else than a list of references.

    Example:
        >>> import shoal
        >>> @shoal.remote
        ... def work(n):
        ...     return n
        >>> ready, others = shoal.wait([work.remote(n) for n in range(3)], num_returns=2)
        >>> len(ready), len(others)
        (2, 1)
        >>> shoal.shutdown()
    """
    if not isinstance(ray_waitables, list):
        raise InvalidOptionTypeError("ray_waitables", ray_waitables, "give a list of references")
    if timeout is not None:
        timeout = seconds("timeout", timeout)
    different: set[Any] | None
    try:
        different = set(map(_id_of, ray_waitables))
    except TypeError:
        different = None
    only_refs = different is not None
    if different is None:
        for index, item in enumerate[object](ray_waitables):
            if not isinstance(item, (ObjectRef, ObjectRefGenerator)):
                fix = "give what .remote() or shoal.put() returned"
                raise InvalidOptionTypeError(f"ray_waitables[{index}]", item, fix)
    if not ray_waitables:
        return [], []
    number = integer("num_returns", num_returns, low=1)
    if number > len(ray_waitables):
        raise InvalidOptionError("num_returns", num_returns, f"the list has {len(ray_waitables)} items")
    if different is None:
        different = set(ray_waitables)
    if len(different) != len(ray_waitables):
        raise InvalidOptionError("ray_waitables", ray_waitables, "something is in the list twice")
    engine = SESSION.engine
    if engine is None:
        raise _no_session_for(ray_waitables[0])
    if SESSION.runs_tasks and timeout != 0:
        warn_if_blocking_loop("wait")
    if only_refs:
        positions = engine.wait(cast("list[ObjectRef[Any]]", ray_waitables), number, timeout, fetch_local)
    else:
        waitables = [item._stream if isinstance(item, ObjectRefGenerator) else item for item in ray_waitables]
        positions = engine.wait_with_streams(waitables, number, timeout)
    others = ray_waitables.copy()
    for position in reversed(positions):
        del others[position]
    return [ray_waitables[position] for position in positions], others


def cancel(
    ray_waitable: ObjectRef[Any] | ObjectRefGenerator[Any], *, force: bool = False, recursive: bool = True
) -> None:
    """Cancels a task. Its `get` then raises TaskCancelledError. A task that has ended stays as it is.

    A task that waits is dropped; one that runs gets a KeyboardInterrupt. Calls of async actors get asyncio's cancellation; those of
    other actors go on, and can see it with `shoal.get_runtime_context().is_canceled()`.

    Args:
        ray_waitable: what `.remote()` has returned.
        force: True to end the task's process. Not for calls of actors; `shoal.kill` ends those.
        recursive: whether the tasks that the task has submitted are cancelled, too.

    Raises:
        InvalidOptionTypeError: (a TypeError) something else than a reference.
        ValueError: force=True for a call of an actor.

    Example:
        >>> import shoal, time
        >>> sleep = shoal.remote(time.sleep)
        >>> ref = sleep.remote(1000)
        >>> shoal.cancel(ref)
        >>> try:
        ...     shoal.get(ref)
        ... except shoal.exceptions.TaskCancelledError:
        ...     print("cancelled")
        cancelled
        >>> shoal.shutdown()
    """
    if not isinstance(ray_waitable, (ObjectRef, ObjectRefGenerator)):
        raise InvalidOptionTypeError(
            "ray_waitable", ray_waitable, "give what .remote() returned; shoal.kill() ends actors"
        )
    flag("force", force)
    flag("recursive", recursive)
    engine = SESSION.engine
    if engine is None:
        raise _no_session_for(ray_waitable)
    engine.cancel(
        ray_waitable._stream if isinstance(ray_waitable, ObjectRefGenerator) else ray_waitable, force, recursive
    )


def _no_session_for(waitable: ObjectRef[Any] | ObjectRefGenerator[Any]) -> SessionEndedError:
    SESSION.check_may_begin()
    return SessionEndedError(f"{waitable!r} belongs to a shoal session that has ended; its value is gone")


def warn_if_blocking_loop(what: str) -> None:
    """Warns where an event loop runs in this thread, which `what` is about to block."""
    asyncio = sys.modules.get("asyncio.events")
    if asyncio is None or asyncio._get_running_loop() is None:
        return
    import warnings

    warnings.warn(
        f"shoal.{what} blocks the event loop that it is called in: nothing else runs there meanwhile. Write 'await ref', or "
        "'await asyncio.gather(*refs)'.",
        RuntimeWarning,
        stacklevel=3,
    )
