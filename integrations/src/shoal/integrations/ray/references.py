"""References to Ray's objects, in the shape that shoal's users hold."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import ray
import ray.cloudpickle

from shoal import DynamicObjectRefGenerator, JobID, engines
from shoal.engines import ObjectRef
from shoal.exceptions import SessionEndedError
from shoal.integrations.ray.errors import error_from_ray
from shoal.integrations.ray.sessions import check_not_ended, ensure_session

T_co = TypeVar("T_co", covariant=True)
_CLIENT_SERVER = "ray.util.client.server.server"
"""Loaded in processes that serve a Ray Client, whose pickler has to see the references itself."""
_JOB_ID_IN_OBJECT_ID = slice(20, 24)


class RayHome:
    """What `ObjectRef` asks of its engine. Ray counts: a reference holds a ray.ObjectRef and lets it go when it goes."""

    def drop_ref(self, object_id: bytes) -> None:
        """Nothing: the ray.ObjectRef is dropped with the reference that holds it."""

    def get_one(self, ref: Any, timeout: float | None) -> Any:
        return values_of([ref], timeout)[0]

    def on_ready(
        self,
        ref: Any,
        callback: Callable[[], None],
        soon: Callable[[Callable[[], None]], Any] | None = None,
        is_brief: bool = False,
    ) -> None:
        ref.future().add_done_callback(lambda _: callback())

    def ref_parts(self, object_id: bytes) -> tuple[bytes, str]:
        return object_id, ""


_HOME = RayHome()


class RayObjectRef(ObjectRef[T_co]):
    """A reference of shoal that holds one of Ray's. It is pickled as that, and Ray counts it."""

    __slots__ = ("ray_ref",)

    def __init__(self, ray_ref: Any) -> None:
        super().__init__(ray_ref.binary(), _HOME)
        self.ray_ref = ray_ref

    def job_id(self) -> JobID:
        """Returns the id of the job whose process made the reference."""
        return JobID(self.binary()[_JOB_ID_IN_OBJECT_ID])

    def future(self) -> concurrent.futures.Future[T_co]:
        """Returns a `concurrent.futures.Future` that ends with the object's value or error."""
        engine: Any = engines.current()
        future: concurrent.futures.Future[T_co] = engine.open_futures.new()
        self.ray_ref.future().add_done_callback(lambda done: _settle(future, done))
        return future

    def as_future(self) -> asyncio.Future[T_co]:
        """Returns an `asyncio.Future` of the running loop that ends with the object's value or error."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T_co] = loop.create_future()

        def settle(done: concurrent.futures.Future[Any]) -> None:
            if not future.done():
                error = done.exception()
                future.set_result(done.result()) if error is None else future.set_exception(error)

        def arrived(done: concurrent.futures.Future[Any]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, done)

        self.future().add_done_callback(arrived)
        return future

    def __reduce__(self) -> tuple[Any, ...]:
        if type(self.ray_ref) is ray.ObjectRef and _CLIENT_SERVER not in sys.modules:
            # Ray's own pickler sees to it that the object is counted, wherever this is pickled: also inside of a function.
            return arrived_pickled_ref, (ray.cloudpickle.dumps(self.ray_ref),)
        return arrived_ref, (self.ray_ref,)


def _settle(future: concurrent.futures.Future[Any], done: concurrent.futures.Future[Any]) -> None:
    """Ends `future` with what Ray's future has, in shoal's words."""
    error = done.exception()
    with suppress(concurrent.futures.InvalidStateError):  # the session has ended meanwhile
        if error is None:
            future.set_result(to_shoal(done.result()))
            return
        translated = error_from_ray(error)
        if isinstance(translated, StopIteration):
            translated = RuntimeError(f"the task raised StopIteration: {translated!r}")
        future.set_exception(translated)


def arrived_pickled_ref(data: bytes) -> RayObjectRef[Any]:
    """Makes the reference again in the process where it arrives."""
    return arrived_ref(ray.cloudpickle.loads(data))


def arrived_ref(ray_ref: Any) -> RayObjectRef[Any]:
    """The same for references of Ray Client, which has its own way with them."""
    ensure_session()
    return RayObjectRef(ray_ref)


def held_refs(refs: Iterable[Any]) -> list[Any]:
    """Returns the ray.ObjectRefs of shoal's references. Raises SessionEndedError for those of another session."""
    try:
        return [ref.ray_ref for ref in refs]
    except AttributeError:
        strange = next(ref for ref in refs if not hasattr(ref, "ray_ref"))
        raise SessionEndedError(f"{strange!r} belongs to a session that was not on Ray, and has ended") from None


def to_ray(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns a call's arguments with Ray's references in the place of shoal's: those that stand alone arrive as their values."""
    for arg in args:
        if isinstance(arg, RayObjectRef):
            args = tuple([arg.ray_ref if isinstance(arg, RayObjectRef) else arg for arg in args])
            break
    if kwargs:
        kwargs = {name: arg.ray_ref if isinstance(arg, RayObjectRef) else arg for name, arg in kwargs.items()}
    return args, kwargs


def to_shoal(value: Any) -> Any:
    """Returns a value as users of shoal know it: what Ray makes of num_returns='dynamic' becomes shoal's."""
    if isinstance(value, ray.DynamicObjectRefGenerator):
        return DynamicObjectRefGenerator([RayObjectRef(ref) for ref in value])
    return value


def values_of(refs: Iterable[Any], timeout: float | None) -> list[Any]:
    """Returns the values of references. Raises the first error met, in shoal's words; GetTimeoutError after `timeout` seconds."""
    try:
        return [to_shoal(value) for value in ray.get(held_refs(refs), timeout=timeout)]
    except Exception as error:
        failure = error_from_ray(error)
    except SystemExit:
        check_not_ended()
        raise
    raise failure  # here, where nothing is handled: its own cause and context stay


def results_of(answer: Any) -> list[ObjectRef[Any]]:
    """Returns what Ray's `.remote()` answered as a list of references: Ray answers with None, one, or a list."""
    if answer is None:
        return []
    if isinstance(answer, list):
        return [RayObjectRef(ref) for ref in answer]
    return [RayObjectRef(answer)]
