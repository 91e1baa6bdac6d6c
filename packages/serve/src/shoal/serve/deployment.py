"""A class or function that is to be served, and its options; bound to arguments, an application."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel, ValidationError

from shoal.serve._internal.logic.validation_text import problems_in
from shoal.serve.config import AutoscalingConfig, DeploymentConfig
from shoal.serve.exceptions import InvalidArgumentError
from shoal.serve.schema import LoggingConfig, name_problem

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Application:
    """A deployment with the arguments of its constructor, among them other applications: what `serve.run` takes."""

    def __init__(self, deployment: Deployment[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.deployment = deployment
        self.args = args
        self.kwargs = dict(kwargs)


class Deployment(Generic[T]):
    """A class or function to serve, with its options. Made by `@serve.deployment`."""

    def __init__(self, func_or_class: T, config: DeploymentConfig) -> None:
        self._func_or_class = func_or_class
        self.config = config

    @property
    def func_or_class(self) -> T:
        """What is served."""
        return self._func_or_class

    @property
    def name(self) -> str:
        """Of the deployment; one of the kind in each application."""
        return self.config.name

    @property
    def version(self) -> str | None:
        """What was given to tell versions apart."""
        return self.config.version

    @property
    def num_replicas(self) -> int | None:
        """How many there are to be; None where that follows from the load."""
        return self.config.num_replicas

    @property
    def user_config(self) -> Any:
        """What `reconfigure` gets."""
        return self.config.user_config

    @property
    def max_ongoing_requests(self) -> int:
        """That one replica works on at a time."""
        return self.config.max_ongoing_requests

    @property
    def max_queued_requests(self) -> int:
        """That may wait in one place; -1 for any number."""
        return self.config.max_queued_requests

    @property
    def ray_actor_options(self) -> dict[str, Any]:
        """Of each replica."""
        return dict(self.config.ray_actor_options)

    @property
    def logging_config(self) -> Any:
        """What it logs, and how."""
        return self.config.logging_config

    def bind(self, *args: Any, **kwargs: Any) -> Application:
        """Returns an application of this deployment. Arguments go to the constructor; bound applications among them, also in lists and
        dicts, arrive as handles.

        Example:
            >>> from shoal import serve
            >>> @serve.deployment
            ... class Adder:
            ...     def __init__(self, increment):
            ...         self.increment = increment
            >>> application = Adder.bind(2)
        """
        for value in (*args, *kwargs.values()):
            if isinstance(value, Deployment):
                raise InvalidArgumentError(
                    f"{self.name}.bind() got the deployment {value.name}, which is not bound; give {value.name}.bind(...)"
                )
        return Application(self, args, kwargs)

    def options(self, func_or_class: Any = None, **options: Any) -> Deployment[T]:
        """Returns the same deployment with other options, those of `serve.deployment`. Raises InvalidArgumentError."""
        changed = self.config.model_dump(exclude_unset=True) | options
        return Deployment(func_or_class or self._func_or_class, checked_config(self.config.name, changed))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise InvalidArgumentError(
            f"the deployment {self.name} cannot be called; serve it with serve.run({self.name}.bind(...)), "
            f"or call what it is made of: {self.name}.func_or_class"
        )

    def __repr__(self) -> str:
        return f"Deployment(name={self.name!r})"


@overload
def deployment(_func_or_class: T, /) -> Deployment[T]: ...
@overload
def deployment(**options: Any) -> Callable[[T], Deployment[T]]: ...
def deployment(_func_or_class: Any = None, /, **options: Any) -> Any:
    """Makes a deployment of a class or function.

    Args:
        name: of the deployment; the class's or function's where there is none.
        num_replicas: processes that serve it (>= 1), or 'auto'.
        max_ongoing_requests: that one replica works on at a time.
        max_queued_requests: that may wait in one place for a replica; -1 for any number.
        autoscaling_config: instead of a number of replicas: an AutoscalingConfig, or a dict of its arguments.
        user_config: given to the method `reconfigure`, at first and whenever it changes. Anything that JSON can hold.
        ray_actor_options: num_cpus, num_gpus, memory, resources, runtime_env, … of each replica.

    Raises:
        InvalidArgumentError: (a ValueError) an option is unknown, or has a value that it cannot have.

    Example:
        >>> from shoal import serve
        >>> @serve.deployment(num_replicas=2)
        ... class Model:
        ...     def __call__(self, request):
        ...         return "hello"
        >>> Model.name
        'Model'
    """

    def make(func_or_class: Any) -> Deployment[Any]:
        if not callable(func_or_class):
            raise InvalidArgumentError(f"@serve.deployment got {func_or_class!r}; give a class or a function")
        return Deployment(func_or_class, checked_config(func_or_class.__name__, options))

    return make if _func_or_class is None else make(_func_or_class)


def checked_config(name: str, options: Mapping[str, Any]) -> DeploymentConfig:
    """Returns options as Ray spells them, checked. Raises InvalidArgumentError."""
    given = {"name": name, **options}
    if given.get("name") is None:
        given["name"] = name
    problem = name_problem(given["name"])
    if problem:
        raise InvalidArgumentError(f"deployment {name}: name is {given['name']!r}: {problem}")
    if given.get("num_replicas") == "auto":
        given["num_replicas"] = None
        given["autoscaling_config"] = {"max_replicas": 100} | dict(given.get("autoscaling_config") or {})
    if given.get("autoscaling_config") is not None:
        if given.get("num_replicas") is not None:
            raise InvalidArgumentError(
                f"deployment {given['name']}: num_replicas is {given['num_replicas']!r}, and there is an autoscaling_config; "
                f"give one of them"
            )
        given["num_replicas"] = None
        if isinstance(given["autoscaling_config"], AutoscalingConfig):
            given["autoscaling_config"] = given["autoscaling_config"].model_dump(exclude_unset=True)
    checked(LoggingConfig, given.get("logging_config"), f"deployment {given['name']}: logging_config")
    try:
        json.dumps(given.get("user_config"))
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"deployment {given['name']}: user_config is {given['user_config']!r}: {error}; give what JSON can hold"
        ) from None
    try:
        return DeploymentConfig.model_validate(given)
    except ValidationError as error:
        problems = "; ".join(problems_in(error, DeploymentConfig))
        raise InvalidArgumentError(f"deployment {given['name']}: {problems}") from None


def checked(kind: type[M], given: M | Mapping[str, Any] | None, argument: str) -> M | None:
    """Returns configuration that was given as a dict as what it means. Raises InvalidArgumentError, which names the argument."""
    if given is None or isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise InvalidArgumentError(f"{argument} is {given!r}; give {kind.__name__}, or a dict of its arguments")
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        problems = "; ".join(f"{argument}.{problem}" for problem in problems_in(error, kind))
        raise InvalidArgumentError(problems) from None
