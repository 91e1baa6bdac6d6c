"""References to objects, as users hold them, and the little that each asks of the engine that counts it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from shoal._core.process.loop_wakeups import wakeups_of
from shoal._core.schema.ids import JOB_ID_SIZE, OBJECT_ID_SIZE, TASK_ID_SIZE
from shoal._core.system.serialization import note_ref

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures
    from typing import Self

T_co = TypeVar("T_co", covariant=True)


class RefHome(Protocol):
    """The engine side of a reference: counts it, and says when its object is ready."""

    def drop_ref(self, object_id: bytes) -> None:
        """The last Python reference to one ObjectRef went away. Called from any thread, also from inside the collector:
        must neither block nor raise."""

    def get_one(self, ref: ObjectRef[Any], timeout: float | None) -> Any: ...

    def on_ready(
        self,
        ref: ObjectRef[Any],
        callback: Callable[[], None],
        soon: Callable[[Callable[[], None]], Any] | None = None,
        is_brief: bool = False,
    ) -> None:
        """Calls `callback` once, from any thread, when the object's value or error is available. `soon` runs a function on the caller's
        event loop in its next turn: what asking for the value takes may be put off to then. A callback that is brief neither blocks nor
        runs the user's code: it may hold up the engine's own thread."""

    def ref_parts(self, object_id: bytes) -> tuple[bytes, str]:
        """Returns what another process needs to rebuild the reference: object id and owner address."""


class ObjectRef(Generic[T_co]):
    """A reference to the result of a task, an actor call or a `put`.

    Get the value with `shoal.get(ref)`, or `await ref`. Passed as a top-level argument it arrives as its value; inside a list, dict
    or object it arrives as a reference.
    """

    __slots__ = ("__weakref__", "_home", "_id")

    def __init__(self, object_id: bytes, home: RefHome) -> None:
        self._id = object_id
        self._home = home

    def __del__(self) -> None:
        self._home.drop_ref(self._id)

    def binary(self) -> bytes:
        """Returns the id as bytes."""
        return self._id

    def hex(self) -> str:
        """Returns the id as a hexadecimal string."""
        return self._id.hex()

    def is_nil(self) -> bool:
        return not any(self._id)

    def task_id(self) -> TaskID:
        """Returns the id of the task that makes the object."""
        return TaskID(self._id[:TASK_ID_SIZE])

    def job_id(self) -> JobID:
        """Returns the id of the job whose process made the reference."""
        return JobID(self._id[:JOB_ID_SIZE])

    @classmethod
    def size(cls) -> int:
        """Returns the length of an object id in bytes."""
        return OBJECT_ID_SIZE

    def owner_address(self) -> str:
        """Returns where the process is that owns the object."""
        return self._home.ref_parts(self._id)[1]

    def call_site(self) -> str:
        """Returns '': where references are made is not recorded."""
        return ""

    @classmethod
    def nil(cls) -> ObjectRef[Any]:
        """Returns a reference to nothing, to compare with."""
        return ObjectRef(bytes(OBJECT_ID_SIZE), _Nowhere())

    @classmethod
    def from_random(cls) -> ObjectRef[Any]:
        """Returns a reference to nothing, with an id of its own."""
        import os

        return ObjectRef(os.urandom(OBJECT_ID_SIZE), _Nowhere())

    def future(self) -> concurrent.futures.Future[T_co]:
        """Returns a `concurrent.futures.Future` that ends with the object's value or error."""
        import concurrent.futures
        import sys

        future: concurrent.futures.Future[T_co] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()

        def settle() -> None:
            try:
                value = self._home.get_one(self, None)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(value)

        asyncio = sys.modules.get("asyncio")
        running = asyncio._get_running_loop() if asyncio is not None else None
        self._home.on_ready(self, settle, running.call_soon if running is not None else None)
        return future

    def as_future(self) -> asyncio.Future[T_co]:
        """Returns an `asyncio.Future` of the running loop that ends with the object's value or error."""
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[T_co] = loop.create_future()

        def settle() -> None:
            if future.done():
                return
            try:
                value = self._home.get_one(self, None)
            except StopIteration as error:
                future.set_exception(RuntimeError(f"the task raised StopIteration: {error!r}"))
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(value)

        wakeups = wakeups_of(loop)
        self._home.on_ready(self, lambda: wakeups.call(settle), loop.call_soon, is_brief=True)
        return future

    def __await__(self) -> Generator[Any, None, T_co]:
        return self.as_future().__await__()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectRef) and self._id == other._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"ObjectRef({self._id.hex()})"

    def __iter__(self) -> Any:
        raise TypeError(
            "an ObjectRef is one value and cannot be iterated; call shoal.get(ref) first, or use num_returns=n"
        )

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        note_ref(self)
        return _rebuild_ref, self._home.ref_parts(self._id)


class _Nowhere:
    """The home of references to nothing."""

    def drop_ref(self, object_id: bytes) -> None:
        return

    def get_one(self, ref: ObjectRef[Any], timeout: float | None) -> Any:
        raise _lost(ref)

    def on_ready(
        self,
        ref: ObjectRef[Any],
        callback: Callable[[], None],
        soon: Callable[[Callable[[], None]], Any] | None = None,
        is_brief: bool = False,
    ) -> None:
        raise _lost(ref)

    def ref_parts(self, object_id: bytes) -> tuple[bytes, str]:
        return object_id, ""


def _lost(ref: ObjectRef[Any]) -> Exception:
    from shoal.exceptions import ObjectLostError

    return ObjectLostError(ref.hex(), reason="the reference was made without an object")


class _CurrentHome:
    """The engine of this process, for references that arrive inside pickled data. Set by `set_current_home`."""

    home: Any = None


def set_current_home(home: Any) -> None:
    """Names the engine that references unpickled in this process belong to (None: no session)."""
    _CurrentHome.home = home


def _rebuild_ref(object_id: bytes, owner_address: str) -> ObjectRef[Any]:
    home = _CurrentHome.home
    if home is None:
        from shoal.exceptions import SessionEndedError

        raise SessionEndedError(
            "an ObjectRef was unpickled in a process that has no shoal session; call shoal.init() first"
        )
    ref: ObjectRef[Any] = home.borrow_ref(object_id, owner_address)
    return ref


class BaseID:
    """A typed id at the API's edge; inside the runtime ids are plain bytes."""

    __slots__ = ("_id",)
    SIZE = 16
    SIZE_ELSEWHERE = 16
    """Of the same id in sessions on Ray."""

    def __init__(self, id: bytes) -> None:
        if len(id) not in (self.SIZE, self.SIZE_ELSEWHERE):
            raise ValueError(f"{type(self).__name__} takes {self.SIZE} bytes, got {len(id)}")
        self._id = id

    @classmethod
    def from_hex(cls, hex_id: str) -> Self:
        return cls(bytes.fromhex(hex_id))

    @classmethod
    def from_random(cls) -> Self:
        import os

        return cls(os.urandom(cls.SIZE))

    @classmethod
    def nil(cls) -> Self:
        return cls(b"\x00" * cls.SIZE)

    @classmethod
    def size(cls) -> int:
        return cls.SIZE

    def binary(self) -> bytes:
        return self._id

    def hex(self) -> str:
        return self._id.hex()

    def is_nil(self) -> bool:
        return not any(self._id)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._id == other._id

    def __hash__(self) -> int:
        return hash((type(self), self._id))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._id.hex()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._id,)


class TaskID(BaseID):
    __slots__ = ()
    SIZE = TASK_ID_SIZE


class JobID(BaseID):
    __slots__ = ()
    SIZE = JOB_ID_SIZE
