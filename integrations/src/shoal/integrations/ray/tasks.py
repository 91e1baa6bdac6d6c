"""Tasks: a remote function of Ray for each function of the user's, and what runs in the worker."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import ray

from shoal.engines import DYNAMIC, STREAMING, Definition, ObjectRef, TaskTemplate
from shoal.integrations.ray.errors import captured, error_from_ray
from shoal.integrations.ray.options import task_keywords
from shoal.integrations.ray.references import results_of, to_ray, to_shoal
from shoal.integrations.ray.running_function import running_function
from shoal.integrations.ray.sessions import ensure_session
from shoal.integrations.ray.streams import RayStream

Retried = bool | tuple[type[BaseException], ...]
_KEPT_DEFINITIONS = 1024
_KEPT_TEMPLATES = 1024


class Tasks:
    """Submits tasks. Keeps one remote function of Ray's for each function and one set of options for each template."""

    def __init__(self) -> None:
        self._functions: dict[Any, Any] = {}
        self._prepared: dict[int, tuple[TaskTemplate, Any]] = {}

    def submit(
        self, template: TaskTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[ObjectRef[Any]] | RayStream:
        """Submits one task. Raises SerializationError, and what Ray objects with."""
        prepared = self._prepared.get(id(template))
        function = prepared[1] if prepared is not None else self._prepare(template)
        args, kwargs = to_ray(args, kwargs)
        try:
            answer = function.remote(*args, **kwargs)
        except Exception as error:
            raise error_from_ray(error) from None
        return RayStream(answer) if template.options.num_returns == STREAMING else results_of(answer)

    def _prepare(self, template: TaskTemplate) -> Any:
        definition, options = template.definition, template.options
        yields = options.num_returns in (STREAMING, DYNAMIC)
        key = (definition.id, yields, options.retry_exceptions, options.max_calls)
        function = self._functions.get(key)
        if function is None:
            if len(self._functions) >= _KEPT_TEMPLATES:
                self._functions.clear()  # functions that a program defines anew each time
            make = _generator_body if yields else _body
            body = make(definition, options.retry_exceptions)
            function = self._functions[key] = ray.remote(max_calls=options.max_calls)(body)
        prepared = function.options(**task_keywords(options, template.name))
        if len(self._prepared) >= _KEPT_TEMPLATES:
            self._prepared.clear()  # options in which there is a dict make a new template each time
        self._prepared[id(template)] = (template, prepared)  # the template too, so that its id stays its own
        return prepared


def _body(definition: Definition, retried: Retried) -> Callable[..., Any]:
    """Returns what Ray is given to run: pickled by value, with the user's function inside."""
    data, name = definition.data, definition.name

    def body(*args: Any, **kwargs: Any) -> Any:
        return run_task(data, name, retried, args, kwargs)

    return _named(body, definition)


def _generator_body(definition: Definition, retried: Retried) -> Callable[..., Any]:
    data, name = definition.data, definition.name

    def body(*args: Any, **kwargs: Any) -> Any:
        # Not `yield from`: Ray sends values into generators, which those of users do not expect.
        for item in run_generator(data, name, retried, args, kwargs):  # noqa: UP028
            yield item

    return _named(body, definition)


def _named(body: Any, definition: Definition) -> Callable[..., Any]:
    body.__name__ = body.__qualname__ = definition.name
    made: Callable[..., Any] = body
    return made


@lru_cache(maxsize=_KEPT_DEFINITIONS)
def loaded(data: bytes) -> Any:
    """Returns the function or class of a pickled definition."""
    return pickle.loads(data)


def run_task(data: bytes, name: str, retried: Retried, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs a task in a worker of Ray's. Raises TaskFailed for what the user's code raises."""
    ensure_session()
    token = running_function.set(name)
    try:
        return loaded(data)(*map(to_shoal, args), **kwargs)
    except Exception as error:
        raise captured(error, name, retried) from None
    finally:
        running_function.reset(token)


def run_generator(
    data: bytes, name: str, retried: Retried, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[Any]:
    """The same for tasks whose items are sent as they come."""
    ensure_session()
    running_function.set(name)
    try:
        for item in loaded(data)(*map(to_shoal, args), **kwargs):  # noqa: UP028
            yield item
    except Exception as error:
        raise captured(error, name, retried) from None
    finally:
        running_function.set(None)
