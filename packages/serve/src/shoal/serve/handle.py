"""Calling deployments from other deployments and from programs."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import shoal
from shoal.serve._internal.process.abandoned_streams import ABANDONED_STREAMS
from shoal.serve._internal.process.call_ids import CALL_IDS
from shoal.serve._internal.process.outcome import Outcome
from shoal.serve._internal.process.request_context import CURRENT
from shoal.serve._internal.process.router import AnyRouter, Call
from shoal.serve._internal.process.routers import ROUTERS
from shoal.serve._internal.schema.deployments import DeploymentId
from shoal.serve._internal.schema.requests import RequestMeta, Streaming
from shoal.serve.exceptions import InvalidArgumentError, RequestCancelledError


@dataclass(frozen=True)
class HandleOptions:
    """What `DeploymentHandle.options` sets."""

    method: str = "__call__"
    model_id: str = ""
    stream: bool = False
    session_id: str = ""


PLAIN = HandleOptions()


class DeploymentHandle:
    """Calls a deployment: `handle.remote(...)` its `__call__`, `handle.method.remote(...)` another method. Picklable."""

    def __init__(self, deployment: DeploymentId, options: HandleOptions = PLAIN) -> None:
        self._deployment = deployment
        self._options = options

    @property
    def deployment_name(self) -> str:
        """Of the deployment that it calls."""
        return self._deployment.name

    @property
    def app_name(self) -> str:
        """Of that deployment's application."""
        return self._deployment.app

    def options(
        self,
        *,
        method_name: str | None = None,
        multiplexed_model_id: str | None = None,
        stream: bool | None = None,
        session_id: str | None = None,
        request_serialization: str | None = None,
        response_serialization: str | None = None,
        _by_reference: bool | None = None,
        _prefer_local_routing: bool | None = None,
    ) -> DeploymentHandle:
        """Returns a handle that calls otherwise.

        Args:
            method_name: of the deployment's class.
            multiplexed_model_id: what `serve.get_multiplexed_model_id()` gives there.
            stream: the method is a generator: its items are taken one after the other.
            session_id: calls of one session go to the same replica, while that is there and has room; empty for none. Where a multiplexed
                model is named, that counts instead.
            request_serialization: has no effect, as the following one: values travel pickled.
            response_serialization: of what comes back.
            _by_reference: has no effect: large values go through shared memory in any case.
            _prefer_local_routing: has no effect on one machine.

        Raises:
            InvalidArgumentError: (a ValueError) one of the first three is no text, or `stream` neither True nor False.
        """
        texts = {"method_name": method_name, "multiplexed_model_id": multiplexed_model_id, "session_id": session_id}
        for name, value in texts.items():
            if value is not None and not isinstance(value, str):
                raise InvalidArgumentError(f"{name} is {value!r}; give a text")
        if stream is not None and not isinstance(stream, bool):
            raise InvalidArgumentError(f"stream is {stream!r}; give True or False")
        options = self._options
        if method_name is not None:
            options = replace(options, method=method_name)
        if multiplexed_model_id is not None:
            options = replace(options, model_id=multiplexed_model_id)
        if stream is not None:
            options = replace(options, stream=stream)
        if session_id is not None:
            options = replace(options, session_id=session_id)
        return DeploymentHandle(self._deployment, options)

    @property
    def is_initialized(self) -> bool:
        """Whether it can be called: always, it connects when it first is."""
        return True

    def __getattr__(self, name: str) -> DeploymentHandle:
        if name.startswith("_"):
            raise AttributeError(name)
        return DeploymentHandle(self._deployment, replace(self._options, method=name))

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the deployment. Never blocks.

        Responses among the arguments arrive as their values.

        Returns:
            DeploymentResponse: or a DeploymentResponseGenerator, where `stream` is set.
        """
        current = CURRENT.get()
        options = self._options
        call_id = CALL_IDS.next()
        meta = RequestMeta(
            current.request_id or call_id,
            call_id,
            current.app or self._deployment.app,
            current.route,
            options.method,
            options.model_id,
            options.stream,
            "call",
            options.session_id,
        )
        router = ROUTERS.of(self._deployment)
        kind = DeploymentResponseGenerator if options.stream else DeploymentResponse
        return kind(router, meta, args, kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return DeploymentHandle, (self._deployment, self._options)

    def __repr__(self) -> str:
        return f"DeploymentHandle({self._deployment}, {self._options.method})"


class _Answer:
    """A call's outcome, for those who wait on threads or on event loops."""

    def __init__(self, router: AnyRouter, meta: RequestMeta, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._router = router
        self._outcome = Outcome()
        self._cancelled = False
        self._call = Call(meta, args, kwargs, "call", self._outcome.settle)
        responses = [value for value in (*args, *kwargs.values()) if isinstance(value, DeploymentResponse)]
        if responses:
            self._submit_after(responses)
        else:
            router.submit(self._call)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._call.meta.method}: its value is not here yet>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            f"{self!r} cannot be sent to another process; give it to a handle as an argument of its own, not inside of another one, "
            f"or take its value first: await it, or call result()"
        )

    @property
    def by_reference(self) -> bool:
        """Whether its value can become an ObjectRef: always."""
        return True

    @property
    def request_id(self) -> str:
        """Of the request from outside that this belongs to, else of the call."""
        return self._call.meta.request_id

    def cancel(self) -> None:
        """Ends the call wherever it is, and what it has called. Waiting for it raises RequestCancelledError."""
        if self._outcome.is_settled:
            return
        self._cancelled = True
        # Before the replica hears of it: how its code ends could be told earlier than this.
        self._outcome.settle(None, RequestCancelledError(self.request_id))
        self._router.cancel(self._call)

    def cancelled(self) -> bool:
        """Whether `cancel` came before its end."""
        return self._cancelled

    def _submit_after(self, responses: list[DeploymentResponse]) -> None:
        left = len(responses)
        lock = threading.Lock()

        def one_is_there() -> None:
            nonlocal left
            with lock:
                left -= 1
                last = left == 0
            if not last:
                return
            failed = next((one._outcome.error for one in responses if one._outcome.error is not None), None)
            if failed is not None:
                self._outcome.settle(None, failed)
                return
            call = self._call
            if self._cancelled or call.cancelled:
                return
            call.args = tuple(_value_of(value) for value in call.args)
            call.kwargs = {name: _value_of(value) for name, value in call.kwargs.items()}
            self._router.submit(call)

        for response in responses:
            response._outcome.when_settled(one_is_there)

    async def _value(self) -> Any:
        try:
            return await self._outcome.awaited()
        except asyncio.CancelledError:
            self.cancel()
            raise


def _value_of(value: Any) -> Any:
    return value._outcome.value() if isinstance(value, DeploymentResponse) else value


class DeploymentResponse(_Answer):
    """The answer of one call: `await` it, or call `result()` outside of event loops."""

    def result(self, *, timeout_s: float | None = None) -> Any:
        """Returns the value. Blocks.

        Args:
            timeout_s: seconds; None for no limit.

        Raises:
            TimeoutError: it is not there in time.
            RuntimeError: in an event loop, which would stand still; use `await`.
            InvalidArgumentError: (a ValueError) timeout_s is no number.
            Exception: what the deployment raised.
        """
        _refuse_in_loop()
        if timeout_s is not None and not isinstance(timeout_s, int | float):
            raise InvalidArgumentError(f"timeout_s is {timeout_s!r}; give seconds, or None for no limit")
        return self._outcome.wait(timeout_s)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._value().__await__()

    async def _to_object_ref(self) -> Any:
        """Returns an object ref of the value, for tasks and actors; waits for it."""
        return shoal.put(await self)

    def _to_object_ref_sync(self) -> Any:
        """Does the same outside of event loops. Blocks."""
        return shoal.put(self.result())


class DeploymentResponseGenerator(_Answer):
    """The items that a call yields: iterate over it, or `async for` in event loops. One that is dropped before its end is cancelled."""

    def __init__(self, router: AnyRouter, meta: RequestMeta, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__(router, meta, args, kwargs)
        self._items: deque[Any] = deque()
        self._started = False
        self._finished = False
        ABANDONED_STREAMS.watch()

    def __del__(self) -> None:
        if not getattr(self, "_finished", True):
            ABANDONED_STREAMS.add(self._router, self._call)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        _refuse_in_loop()
        while not self._items:
            if self._finished:
                raise StopIteration
            call = self._call
            self._take(self._router.wait_for_items(call) if self._started else self._outcome.wait(None))
        return self._items.popleft()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        while not self._items:
            if self._finished:
                raise StopAsyncIteration
            try:
                call = self._call
                self._take(await (self._router.next_items(call) if self._started else self._outcome.awaited()))
            except asyncio.CancelledError:
                self.cancel()
                raise
        return self._items.popleft()

    def _take(self, part: Streaming) -> None:
        self._started = True
        self._items.extend(part.items)
        self._finished = part.finished

    def cancel(self) -> None:
        """Ends the call wherever it is, and what it has called."""
        if self._finished:
            return
        if self._outcome.is_settled:
            self._cancelled = True
            self._router.cancel(self._call)
            return
        super().cancel()


def _refuse_in_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("this blocks, and would stop the event loop that it is called in; use `await response` there")
