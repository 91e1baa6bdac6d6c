"""The user's class or function inside of a replica: made, called, and asked for HTTP."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any

from shoal import cloudpickle
from shoal.serve._internal.process.json_values import jsonable
from shoal.serve._internal.process.lifespan import Lifespan
from shoal.serve._internal.process.request_context import HERE
from shoal.serve._internal.schema.deployments import DeploymentSpec

logger = logging.getLogger("shoal.serve")

Message = MutableMapping[str, Any]
Receive = Callable[[], Any]
Send = Callable[[Message], Any]

ASGI_APP = "_shoal_serve_asgi_app"
"""The attribute in which `serve.ingress` leaves what makes the ASGI application of a class."""
LARGEST_BATCH = "_shoal_serve_largest_batch"
"""The attribute in which `serve.batch` leaves what tells how many requests make a batch of a method."""


NO_STREAMS = (str, bytes, bytearray, Mapping)
"""What could be iterated over, and is one answer all the same."""


class _Kind(Enum):
    """How a function is called."""

    COROUTINE = "on the loop"
    GENERATOR = "at once: what it returns is iterated over"
    PLAIN = "on a thread"


def _kind_of(function: Any) -> _Kind:
    if inspect.iscoroutinefunction(function):
        return _Kind.COROUTINE
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return _Kind.GENERATOR
    return _Kind.PLAIN


class UserCode:
    """One deployment's class or function.

    Args:
        spec: the deployment.
    """

    def __init__(self, spec: DeploymentSpec) -> None:
        self._spec = spec
        self._threads = ThreadPoolExecutor(spec.config.max_ongoing_requests, thread_name_prefix="shoal-serve-sync")
        self._definition: Any = None
        self.instance: Any = None
        self._kinds: dict[Any, _Kind] = {}
        """By function: asking costs more than many a call."""
        self._takes_request: bool | None = None
        """Whether `__call__` takes any argument; None for not looked at yet."""
        self._asgi: Any = None
        self._lifespan: Lifespan | None = None

    def load(self) -> None:
        """Imports what the class or function needs. Raises what that raises."""
        self._definition = cloudpickle.loads(self._spec.definition)

    async def start(self) -> None:
        """Makes the instance. Raises what its constructor raises."""
        if self._definition is None:
            self.load()
        definition: Any = self._definition
        args, kwargs = cloudpickle.loads(self._spec.init)
        if inspect.isclass(definition):
            instance: Any = definition.__new__(definition)
            made = definition.__init__(instance, *args, **kwargs)
            if inspect.isawaitable(made):
                await made
            self.instance = instance
            self._warn_of_batches_that_never_fill()
        else:
            self.instance = definition
        application = getattr(self.instance, ASGI_APP, None)
        if application is not None:
            self._asgi = application.make(self.instance)
            self._lifespan = Lifespan(self._asgi)
            await self._lifespan.start()

    def _warn_of_batches_that_never_fill(self) -> None:
        here = HERE.get()
        if here is not None and here.rank is not None and here.rank.rank > 0:
            return  # The first replica has said so.
        limit, kind = self._spec.config.max_ongoing_requests, type(self.instance)
        for name in dir(kind):
            largest = getattr(getattr(kind, name, None), LARGEST_BATCH, None)
            if largest is not None and largest() > limit:
                logger.warning(
                    "%s.%s gathers %d requests (max_batch_size), and a replica works on %d at a time (max_ongoing_requests): unless a "
                    "request calls it several times, no batch is ever full, and each waits for its batch_wait_timeout_s; give the "
                    "deployment a max_ongoing_requests of %d or more",
                    kind.__name__,
                    name,
                    largest(),
                    limit,
                    2 * largest(),
                )

    async def reconfigure(self, user_config: Any) -> None:
        """Gives the instance its user_config, and the replica's rank where `reconfigure` has a parameter of that name."""
        function, here = self.instance.reconfigure, HERE.get()
        if here is not None and "rank" in inspect.signature(function).parameters:
            await self.run(function, user_config, rank=here.rank)
        else:
            await self.run(function, user_config)

    async def end(self) -> None:
        """The replica is about to end: `__del__` is called, since Python may not come to that. Raises what it raises."""
        if self._lifespan is not None:
            await self._lifespan.end()
        clean_up = getattr(type(self.instance), "__del__", None)
        if clean_up is not None:
            await self.run(clean_up, self.instance)

    def method(self, name: str) -> Callable[..., Any]:
        """Returns a method. Raises AttributeError, which names those that there are."""
        if name == "__call__" and inspect.isfunction(self.instance):
            function: Callable[..., Any] = self.instance
            return function
        found: Callable[..., Any] | None = getattr(self.instance, name, None)
        if found is None:
            there = ", ".join(n for n in dir(type(self.instance)) if not n.startswith("_"))
            raise AttributeError(f"{type(self.instance).__name__} has no method {name!r}; it has: {there or 'none'}")
        return found

    async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls a function: coroutines on the loop, others on a thread."""
        target = getattr(function, "__func__", None)
        if target is None:
            target = function if inspect.isroutine(function) else type(function).__call__
        kind = self._kinds.get(target)
        if kind is None:
            kind = self._kinds[target] = _kind_of(target)
        if kind is _Kind.COROUTINE:
            return await function(*args, **kwargs)
        if kind is _Kind.GENERATOR:
            return function(*args, **kwargs)
        context = contextvars.copy_context()
        call = functools.partial(context.run, _called, function, args, kwargs)
        value = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        return await value if inspect.isawaitable(value) else value

    async def items(self, generator: Any) -> AsyncIterator[Any]:
        """Yields what a generator yields; one that is not async runs on a thread."""
        if hasattr(generator, "__aiter__"):
            async for item in generator:
                yield item
            return
        if not hasattr(generator, "__iter__") or isinstance(generator, NO_STREAMS):
            raise TypeError(
                f"what was called with stream=True gave {generator!r:.100}, which has no items; call it without, or let it yield"
            )
        loop, end, context = asyncio.get_running_loop(), object(), contextvars.copy_context()
        following = functools.partial(context.run, next, iter(generator), end)
        while (item := await loop.run_in_executor(self._threads, following)) is not end:
            yield item

    async def asgi(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answers HTTP: by the class's ASGI application where it has one, else by `__call__` with a Starlette request."""
        if self._asgi is not None:
            assert self._lifespan is not None
            scope["app"] = self._asgi
            scope["state"] = dict(self._lifespan.state)
            await self._asgi(scope, receive, send)
            return
        from starlette.requests import Request

        function = self.method("__call__")
        if self._takes_request is None:
            self._takes_request = _takes_any(function)
        value = await (self.run(function, Request(scope, receive, send)) if self._takes_request else self.run(function))
        await response_of(value, self)(scope, receive, send)


def _takes_any(function: Callable[..., Any]) -> bool:
    try:
        return bool(inspect.signature(function).parameters)
    except ValueError:
        # Some that are not written in Python do not tell.
        return True


def _called(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        # As of a coroutine's: no future can have it, and who waits would wait for ever.
        raise RuntimeError(f"{getattr(function, '__qualname__', function)} raised StopIteration") from error


def response_of(value: Any, code: UserCode) -> Any:
    """Returns the Starlette response that a value means."""
    from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

    if isinstance(value, Response):
        return value
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        return StreamingResponse(code.items(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return Response(bytes(value), media_type="application/octet-stream")
    if isinstance(value, str):
        return PlainTextResponse(value)
    try:
        return JSONResponse(value)
    except TypeError:
        return JSONResponse(jsonable(value))
