"""References to Dask's keys, in the shape that shoal's users hold, and values as bytes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import weakref
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from shoal.engines import ObjectRef, deserialize, note_ref, serialize
from shoal.exceptions import GetTimeoutError, SessionEndedError
from shoal.integrations.dask.connection import PENDING, Connection
from shoal.integrations.dask.errors import error_from_dask
from shoal.integrations.dask.keys import id_of
from shoal.integrations.dask.running_call import running_call
from shoal.integrations.dask.sessions import ensure_session

if TYPE_CHECKING:
    from shoal.integrations.dask.actors import HeldActor

_BRINGING = 10.0
"""Seconds that bringing a value may take, whatever is left."""
T_co = TypeVar("T_co", covariant=True)


class DaskHome:
    """What `ObjectRef` asks of its engine. Dask counts: a reference holds a future and lets it go when it goes.

    Args:
        connection: of this process.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def drop_ref(self, object_id: bytes) -> None:
        """Nothing: the future is dropped with the reference that holds it."""

    def get_one(self, ref: Any, timeout: float | None) -> Any:
        return values_of(self._connection, [ref], timeout)[0]

    def on_ready(
        self,
        ref: Any,
        callback: Callable[[], None],
        soon: Callable[[Callable[[], None]], Any] | None = None,
        is_brief: bool = False,
    ) -> None:
        self._connection.watch(ref.dask_future, callback)

    def ref_parts(self, object_id: bytes) -> tuple[bytes, str]:
        return object_id, self._connection.client.scheduler.address


class DaskObjectRef(ObjectRef[T_co]):
    """A reference of shoal that holds a future of Dask's.

    Args:
        future: of the object's key.
        connection: of this process.
    """

    __slots__ = ("connection", "dask_future")

    def __init__(self, future: Any, connection: Connection) -> None:
        super().__init__(id_of(future.key), DaskHome(connection))
        self.dask_future = future
        self.connection = connection

    @property
    def key(self) -> str:
        """Dask's key of the object."""
        key: str = self.dask_future.key
        return key

    def future(self) -> concurrent.futures.Future[T_co]:
        """Returns a `concurrent.futures.Future` that ends with the object's value or error."""
        future: concurrent.futures.Future[T_co] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        self._fetch(lambda value, error: settle(future, value, error))
        return future

    def as_future(self) -> asyncio.Future[T_co]:
        """Returns an `asyncio.Future` of the running loop that ends with the object's value or error."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T_co] = loop.create_future()

        def end(data: Any, error: BaseException | None) -> None:
            if not future.done():
                settle(future, data, error)

        def arrived(data: Any, error: BaseException | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(end, data, error)

        self._fetch(arrived)
        return future

    def _fetch(self, then: Callable[[Any, BaseException | None], None]) -> None:
        """Calls `then` with the object's bytes or its error, in a thread of Dask's."""
        connection, future, key = self.connection, self.dask_future, self.key

        def done(fetched: concurrent.futures.Future[Any]) -> None:
            error = fetched.exception()
            if error is not None:
                then(None, error_from_dask(error, key))
            else:
                then(fetched.result()[0], None)

        def fetch() -> None:
            if connection.is_closed:
                then(None, SessionEndedError())
            else:
                connection.fetch([future]).add_done_callback(done)

        connection.watch(future, fetch)
        connection.hurry()

    def __reduce__(self) -> tuple[Any, ...]:
        note_ref(self)
        return arrived_ref, (self.key,)


def settle(future: Any, data: Any, error: BaseException | None) -> None:
    """Ends a future with what an object's bytes mean, or with its error."""
    if error is None:
        try:
            future.set_result(deserialize(data))
            return
        except BaseException as failure:
            error = failure
    if isinstance(error, StopIteration):
        error = RuntimeError(f"the task raised StopIteration: {error!r}")
    future.set_exception(error)


def arrived_ref(key: str) -> DaskObjectRef[Any]:
    """Makes a reference again in the process where it arrives."""
    connection = ensure_session().connection
    ref: DaskObjectRef[Any] = DaskObjectRef(connection.borrow(key), connection)
    note_arrival(key, ref)
    return ref


def note_arrival(key: str, holder: Any) -> None:
    """Says that a reference or a handle has arrived: if it is kept beyond the running call, the head hears of it before its end."""
    call = running_call.get()
    if call is not None:
        call.arrived.append((key, weakref.ref(holder)))


def held_refs(refs: Iterable[Any], connection: Connection) -> list[Any]:
    """Returns the futures of references. Raises SessionEndedError for those of another session."""
    futures = []
    for ref in refs:
        if getattr(ref, "connection", None) is not connection:
            raise SessionEndedError(f"{ref!r} belongs to a session that has ended; its value is gone")
        futures.append(ref.dask_future)
    return futures


def values_of(connection: Connection, refs: Sequence[Any], timeout: float | None) -> list[Any]:
    """Returns the values of references.

    Args:
        connection: of this process.
        refs: of values that are there, or come.
        timeout: seconds; None for no limit. Values that are there are brought in any case, which may take 10 s more.

    Raises the first error met, in shoal's words; GetTimeoutError.
    """
    futures = held_refs(refs, connection)
    started = monotonic()
    pending = [future for future in futures if future.status in PENDING]
    if pending and not connection.wait(pending, len(pending), timeout, stop=has_failed):
        raise _too_late(pending, futures, timeout)
    failed = next((future for future in futures if has_failed(future)), None)
    if failed is not None:
        raise error_from_dask(failed._state.exception, failed.key)
    fetching = connection.fetch(futures)
    limit = None if timeout is None else max(timeout - (monotonic() - started), _BRINGING)
    if not concurrent.futures.wait([fetching], limit).done:
        raise _too_late(futures, futures, timeout)
    error = fetching.exception()
    if error is not None:
        raise error_from_dask(error, next((one.key for one in futures if has_failed(one)), futures[0].key))
    return [deserialize(one) for one in fetching.result()]


def _too_late(missing: list[Any], futures: list[Any], timeout: float | None) -> GetTimeoutError:
    names = ", ".join(future.key.rpartition("-")[0] for future in missing[:3])
    return GetTimeoutError(f"{len(missing)} of {len(futures)} values were not here within {timeout or 0:g} s: {names}")


def has_failed(future: Any) -> bool:
    """Whether a future has ended without a value."""
    return future.status in ("error", "cancelled")


class Awaited:
    """Stands in packed arguments for what a reference at the top arrives as.

    Args:
        position: in the list of values.
    """

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position

    def __reduce__(self) -> tuple[Any, ...]:
        return Awaited, (self.position,)


NO_ARGUMENTS = b""


def pack(
    args: tuple[Any, ...], kwargs: dict[str, Any], connection: Connection
) -> tuple[bytes, list[DaskObjectRef[Any]], Sequence[DaskObjectRef[Any] | HeldActor]]:
    """Returns a call's arguments as bytes, the references whose values they need, and what else is referred to inside.

    Raises SerializationError.
    """
    if not args and not kwargs:
        return NO_ARGUMENTS, [], ()
    awaited: list[Any] = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, ObjectRef)]
    if awaited:
        held_refs(awaited, connection)
        positions = iter(range(len(awaited)))
        args = tuple([Awaited(next(positions)) if isinstance(arg, ObjectRef) else arg for arg in args])
        kwargs = {name: Awaited(next(positions)) if isinstance(arg, ObjectRef) else arg for name, arg in kwargs.items()}
    serialized = serialize((args, kwargs))
    return serialized.to_bytes(), awaited, serialized.refs


def unpack(data: bytes, values: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the arguments of `pack`, with values in the place of references."""
    if not data:
        return (), {}
    args, kwargs = deserialize(data)
    if values:
        args = tuple([values[arg.position] if type(arg) is Awaited else arg for arg in args])
        kwargs = {name: values[arg.position] if type(arg) is Awaited else arg for name, arg in kwargs.items()}
    return args, kwargs
