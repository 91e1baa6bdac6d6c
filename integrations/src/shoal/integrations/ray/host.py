"""What actors are in Ray: a host that holds the user's object and calls its methods."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import ray

from shoal.engines import ActorTemplate
from shoal.integrations.ray.errors import captured
from shoal.integrations.ray.references import to_shoal
from shoal.integrations.ray.running_call import RunningCall, running_call
from shoal.integrations.ray.sessions import ensure_session
from shoal.integrations.ray.tasks import Retried, loaded
from shoal.integrations.ray.templates import template_of

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
        self.template_data = template
        self.template: ActorTemplate = template_of(template)
        self.class_name = self.template.definition.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray asks itself for something that it has deprecated
            self.was_reconstructed = bool(ray.get_runtime_context().was_current_actor_reconstructed)
        token = running_call.set(RunningCall(f"{self.class_name}.__init__", self))
        try:
            self.instance = loaded(definition)(*map(to_shoal, args), **kwargs)
        except Exception as error:
            if _ends_actor(error):
                raise
            raise captured(error, f"{self.class_name}.__init__") from None
        finally:
            running_call.reset(token)

    def shoal_template(self) -> bytes:
        """Returns what handles need (for whoever finds the actor by its name)."""
        return self.template_data

    def call(self, method: Method, /, *args: Any, **kwargs: Any) -> Any:
        """Calls a method. Raises TaskFailed for what it raises."""
        name, retried = method
        token = running_call.set(RunningCall(f"{self.class_name}.{name}", self))
        try:
            return self._invoke(name, args, kwargs)
        except Exception as error:
            raise self._failure(error, name, retried) from None
        finally:
            running_call.reset(token)

    def stream(self, method: Method, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Calls a method that yields."""
        name, retried = method
        running_call.set(RunningCall(f"{self.class_name}.{name}", self))
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
        return captured(error, f"{self.class_name}.{name}", retried, self._instance_text(), actor_id)

    def _instance_text(self) -> str:
        try:
            return repr(self.instance)
        except Exception as failure:
            return f"{self.class_name} (its repr raised {type(failure).__name__})"


class AsyncHost(Host):
    """An actor with coroutine methods: Ray runs its calls in an event loop, the ordinary ones too."""

    async def call(self, method: Method, /, *args: Any, **kwargs: Any) -> Any:
        name, retried = method
        running_call.set(RunningCall(f"{self.class_name}.{name}", self))
        try:
            result = self._invoke(name, args, kwargs)
            return await result if inspect.isawaitable(result) else result
        except Exception as error:
            raise self._failure(error, name, retried) from None

    async def stream(self, method: Method, /, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        name, retried = method
        running_call.set(RunningCall(f"{self.class_name}.{name}", self))
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


def _ends_actor(error: Exception) -> bool:
    """Whether this is how `exit_actor` leaves an async method."""
    return isinstance(error, ray.exceptions.AsyncioActorExit)
