"""The results of streaming tasks, one reference after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from shoal._core.process.object_ref import ObjectRef
from shoal.exceptions import SerializationError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from shoal._core.api.engine import Stream

T_co = TypeVar("T_co", covariant=True)


class ObjectRefGenerator(Generic[T_co]):
    """The results of a task or method that `yield`s: an iterator, and an async iterator, of references.

    Items arrive while the task runs. An error in the task comes as one last reference, whose `get` raises it. The generator belongs
    to the process that has called the task, and cannot be passed on; the references can.

    Example:
        >>> import shoal
        >>> @shoal.remote
        ... def count(n):
        ...     yield from range(n)
        >>> [shoal.get(ref) for ref in count.remote(3)]
        [0, 1, 2]
        >>> shoal.shutdown()
    """

    __slots__ = ("__weakref__", "_stream")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[ObjectRef[T_co]]:
        return self

    def __next__(self) -> ObjectRef[T_co]:
        """Blocks for the next item."""
        return self._stream.next_ref(None)

    def __aiter__(self) -> AsyncIterator[ObjectRef[T_co]]:
        return self

    async def __anext__(self) -> ObjectRef[T_co]:
        """Waits for the next item without blocking the event loop."""
        stream = self._stream
        if not stream.next_is_ready():
            import asyncio

            loop = asyncio.get_running_loop()
            arrived: asyncio.Future[None] = loop.create_future()

            def settle() -> None:
                if not arrived.done():
                    arrived.set_result(None)

            def wake() -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(settle)

            stream.on_next(wake)
            await arrived
        try:
            return stream.next_ref(None)
        except StopIteration:
            raise StopAsyncIteration from None

    def completed(self) -> ObjectRef[Any]:
        """Returns a reference that is ready when the task has ended; `get` of it raises the task's error."""
        return self._stream.completed()

    def next_ready(self) -> bool:
        """Returns whether `next` would not block."""
        return self._stream.next_is_ready()

    def is_finished(self) -> bool:
        """Returns whether all items have been taken, and the task has ended."""
        return self._stream.is_finished()

    def task_id(self) -> Any:
        """Returns the id of the task that makes the items."""
        return self._stream.completed().task_id()

    def send(self, value: object) -> NoReturn:
        raise UnsupportedError("ObjectRefGenerator.send", "Pass messages to a running task through an actor.")

    def throw(self, error: object) -> NoReturn:
        raise UnsupportedError("ObjectRefGenerator.throw", "shoal.cancel(generator) ends the task.")

    def close(self) -> NoReturn:
        raise UnsupportedError("ObjectRefGenerator.close", "shoal.cancel(generator) ends the task.")

    async def asend(self, value: object) -> NoReturn:
        self.send(value)

    async def athrow(self, error: object) -> NoReturn:
        self.throw(error)

    async def aclose(self) -> NoReturn:
        self.close()

    def __del__(self) -> None:
        self._stream.close()

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({self.task_id().hex()})"

    def __reduce__(self) -> NoReturn:
        raise SerializationError(
            "an ObjectRefGenerator belongs to the process that called the task, and cannot be passed on; "
            "pass the references that it yields, or have another task or actor call the generator"
        )
