"""What actors are in Ray: a host that holds the user's object and calls its methods."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import ray

from shoal import engines
from shoal.engines import ActorTemplate
from shoal.integrations.engines.carried_errors import repr_of_actor
from shoal.integrations.engines.templates import template_of
from shoal.integrations.ray.errors import captured
from shoal.integrations.ray.references import to_shoal
from shoal.integrations.ray.running_function import running_function
from shoal.integrations.ray.sessions import ensure_session
from shoal.integrations.ray.tasks import Retried, loaded

Method = tuple[str, Retried]
"""Name of the method, and which errors the call is to be made again for."""

_BUILT_IN: dict[str, Callable[..., Any]] = {
    "__ray_ready__": lambda instance: True,
    "__shoal_ready__": lambda instance: True,
    "__ray_call__": lambda instance, function, *args, **kwargs: function(instance, *args, **kwargs),
    "__shoal_call__": lambda instance, function, *args, **kwargs: function(instance, *args, **kwargs),
}


class Host:
    """An actor whose methods are ordinary functions.

    Args:
        definition: the pickled class.
        template: the pickled template (see `templates`).
        args, kwargs: the constructor's arguments.
    """

    def __init__(self, definition: bytes, template: bytes, /, *args: Any, **kwargs: Any) -> None:
        ensure_session()
        engine: Any = engines.current()
        engine.host = self
        self.template_data = template
        self.template: ActorTemplate = template_of(template)
        self.class_name = self.template.definition.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray asks itself for something that it has deprecated
            self.was_reconstructed = bool(ray.get_runtime_context().was_current_actor_reconstructed)
        token = running_function.set(f"{self.class_name}.__init__")
        try:
            self.instance = loaded(definition)(*map(to_shoal, args), **kwargs)
        except Exception as error:
            if _ends_actor(error):
                raise
            raise captured(error, f"{self.class_name}.__init__") from None
        finally:
            running_function.reset(token)

    def shoal_template(self) -> bytes:
        """Returns what handles need (for whoever finds the actor by its name)."""
        return self.template_data

    def call(self, method: Method, /, *args: Any, **kwargs: Any) -> Any:
        """Calls a method. Raises TaskFailed for what it raises."""
        return self.run(*method, args, kwargs)

    def run(self, name: str, retried: Retried, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same, where the arguments come together."""
        token = running_function.set(f"{self.class_name}.{name}")
        try:
            return self._invoke(name, args, kwargs)
        except Exception as error:
            raise self._failure(error, name, retried) from None
        finally:
            running_function.reset(token)

    def stream(self, method: Method, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Calls a method that yields."""
        name, retried = method
        running_function.set(f"{self.class_name}.{name}")
        try:
            for item in self._invoke(name, args, kwargs):  # noqa: UP028
                yield item
        except Exception as error:
            raise self._failure(error, name, retried) from None

    def _invoke(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        built_in = _BUILT_IN.get(name)
        arguments = map(to_shoal, args)
        if built_in is not None:
            return built_in(self.instance, *arguments, **kwargs)
        return getattr(self.instance, name)(*arguments, **kwargs)

    def _failure(self, error: Exception, name: str, retried: Retried) -> Exception:
        if _ends_actor(error):
            return error
        actor_id = ray.get_runtime_context().get_actor_id()
        return captured(
            error, f"{self.class_name}.{name}", retried, repr_of_actor(self.instance, self.class_name), actor_id
        )


class AsyncHost(Host):
    """An actor with coroutine methods: Ray runs its calls in an event loop, the ordinary ones too."""

    async def call(self, method: Method, /, *args: Any, **kwargs: Any) -> Any:
        return await self.run(*method, args, kwargs)

    async def run(self, name: str, retried: Retried, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        running_function.set(f"{self.class_name}.{name}")
        try:
            result = self._invoke(name, args, kwargs)
            return await result if inspect.isawaitable(result) else result
        except Exception as error:
            raise self._failure(error, name, retried) from None

    async def stream(self, method: Method, /, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        name, retried = method
        running_function.set(f"{self.class_name}.{name}")
        try:
            items = self._invoke(name, args, kwargs)
            if hasattr(items, "__aiter__"):
                async for item in items:
                    yield item
            else:
                for item in items:
                    yield item
        except Exception as error:
            raise self._failure(error, name, retried) from None


def host_class(name: str, is_async: bool, methods: Iterable[str]) -> type[Host]:
    """Returns the class of an actor's host. It has a method for each of the user's, so that a plain call sends nothing but its arguments.

    Args:
        name: of the user's class, by which Ray shows it.
        is_async: whether a method of it is a coroutine function.
        methods: names of the user's methods.
    """
    base, forward = (AsyncHost, _async_forward) if is_async else (Host, _forward)
    members: dict[str, Any] = {direct(method): forward(method) for method in methods}
    return type(name, (base,), {"__module__": base.__module__, **members})


def direct(method: str) -> str:
    """Returns the name of the host's method for one of the user's."""
    return f"shoal_method_{method}"


def _forward(name: str) -> Callable[..., Any]:
    def method(self: Host, /, *args: Any, **kwargs: Any) -> Any:
        return self.run(name, False, args, kwargs)

    return method


def _async_forward(name: str) -> Callable[..., Any]:
    async def method(self: AsyncHost, /, *args: Any, **kwargs: Any) -> Any:
        return await self.run(name, False, args, kwargs)

    return method


def _ends_actor(error: Exception) -> bool:
    """Whether this is how `exit_actor` leaves an async method."""
    return isinstance(error, ray.exceptions.AsyncioActorExit)
