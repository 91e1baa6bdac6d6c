"""`shoal.remote`: makes remote functions of functions, and actor classes of classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from shoal._core.api.actor_class import ActorClass, make_actor_class
from shoal._core.api.checks import refuse_unknown
from shoal._core.api.option_tables import ACTOR_OPTIONS, TASK_OPTIONS
from shoal._core.api.remote_function import RemoteFunction, make_remote_function
from shoal.exceptions import InvalidOptionTypeError

if TYPE_CHECKING:
    from typing import Literal, ParamSpec

    from typing_extensions import Unpack

    from shoal._core.api.generator import ObjectRefGenerator
    from shoal._core.api.keywords import RemoteKeywords
    from shoal._core.api.typed_calls import Undeclared
    from shoal._core.process.object_ref import ObjectRef

    P = ParamSpec("P")

T = TypeVar("T")
R = TypeVar("R")
Y = TypeVar("Y")
Out_co = TypeVar("Out_co", covariant=True)


class RemoteDecorator(Protocol):
    """`shoal.remote(...)` with options, still without a function or class."""

    @overload
    def __call__(self, function_or_class: type[T], /) -> ActorClass[T]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function_or_class: Callable[..., Undeclared], /
    ) -> RemoteFunction[Callable[..., Any], ObjectRef[Any]]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function_or_class: Callable[P, Iterator[Y]], /
    ) -> RemoteFunction[Callable[P, Any], ObjectRefGenerator[Y]]: ...
    @overload
    def __call__(self, function_or_class: Callable[P, R], /) -> RemoteFunction[Callable[P, Any], ObjectRef[R]]: ...


class RemoteDecoratorWithResults(Protocol[Out_co]):
    """The same, with `num_returns` among the options."""

    @overload
    def __call__(self, function_or_class: type[T], /) -> ActorClass[T]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function_or_class: Callable[P, Any], /) -> RemoteFunction[Callable[P, Any], Out_co]: ...


@overload
def remote(function_or_class: type[T], /) -> ActorClass[T]: ...  # type: ignore[overload-overlap]
@overload
def remote(  # pyright: ignore[reportOverlappingOverload]
    function_or_class: Callable[..., Undeclared], /
) -> RemoteFunction[Callable[..., Any], ObjectRef[Any]]: ...
@overload
def remote(  # type: ignore[overload-overlap]
    function_or_class: Callable[P, Iterator[Y]], /
) -> RemoteFunction[Callable[P, Any], ObjectRefGenerator[Y]]: ...
@overload
def remote(function_or_class: Callable[P, R], /) -> RemoteFunction[Callable[P, Any], ObjectRef[R]]: ...
@overload
def remote(
    *, num_returns: Literal["streaming"], **options: Unpack[RemoteKeywords]
) -> RemoteDecoratorWithResults[ObjectRefGenerator[Any]]: ...
@overload
def remote(  # type: ignore[overload-overlap]
    *, num_returns: Literal["dynamic", 1], **options: Unpack[RemoteKeywords]
) -> RemoteDecoratorWithResults[ObjectRef[Any]]: ...
@overload
def remote(  # type: ignore[overload-overlap]
    *, num_returns: Literal[0], **options: Unpack[RemoteKeywords]
) -> RemoteDecoratorWithResults[None]: ...
@overload
def remote(
    *, num_returns: int, **options: Unpack[RemoteKeywords]
) -> RemoteDecoratorWithResults[list[ObjectRef[Any]]]: ...
@overload
def remote(*, num_returns: None = None, **options: Unpack[RemoteKeywords]) -> RemoteDecorator: ...
def remote(*arguments: Any, **options: Any) -> Any:
    """Makes a remote function of a function, or an actor class of a class.

    Use it as `@shoal.remote`, `@shoal.remote(num_cpus=2)`, `shoal.remote(f)` or `shoal.remote(num_cpus=2)(f)`.

    Options of tasks and of actors:
        num_cpus: CPUs that it needs (tasks: 1). Actors that name none of num_cpus, num_gpus, resources need 1 to be placed and
            hold none.
        num_gpus: GPUs that it needs: a part of one, or a whole number.
        resources: further resources that it needs: name -> amount.
        memory: bytes of memory that it needs.
        accelerator_type: kind of accelerator that its node must have (see `shoal.util.accelerators`).
        runtime_env: environment that it runs in (see `shoal.runtime_env.RuntimeEnv`).
        scheduling_strategy: 'DEFAULT', 'SPREAD', or one of `shoal.util.scheduling_strategies`.
        label_selector: labels that its node must have: label -> 'value', '!value', 'in(a, b)' or '!in(a, b)'.
        fallback_strategy: label selectors to try after that, as in [{'label_selector': {...}}].
        name: for people to know it by; for actors, to find it with `shoal.get_actor`.

    Options of tasks:
        num_returns: number of results, or 'streaming' for a generator of them.
        max_retries: further attempts after its process or node has died (3; -1 = without end).
        retry_exceptions: True, or a list of classes, to try again after errors of its own.
        max_calls: calls after which the process is replaced (0 = never; 1 with GPUs).
        _generator_backpressure_num_objects: items that may be unconsumed before a generator pauses (-1 = any number).

    Options of actors:
        namespace: where its name is looked up.
        get_if_exists: True to get the actor of that name where there is one.
        lifetime: 'detached' for an actor that outlives this program.
        max_restarts: how often it is made again after its process has died (0; -1 = without end).
        max_task_retries: further attempts of calls that its death has cut off (0; -1 = without end).
        max_concurrency: calls that run at the same time (1; 1000 with async methods).
        concurrency_groups: group name -> calls of that group that run at the same time.
        max_pending_calls: calls that may wait (-1 = any number).
        allow_out_of_order_execution: whether calls may overtake one another.

    Raises:
        InvalidOptionError: (a ValueError) an option does not exist, or cannot have that value.
        InvalidOptionTypeError: (a TypeError) it is applied to something else, or an option has a wrong type.

    Example:
        >>> import shoal
        >>> @shoal.remote
        ... def square(x):
        ...     return x * x
        >>> shoal.get([square.remote(n) for n in range(4)])
        [0, 1, 4, 9]
        >>> shoal.shutdown()
    """
    if not arguments:
        for name, value in options.items():
            if name not in TASK_OPTIONS and name not in ACTOR_OPTIONS:
                refuse_unknown("tasks and actors", name, value, TASK_OPTIONS | ACTOR_OPTIONS)
        return lambda function_or_class: _decorate(function_or_class, options)
    if len(arguments) > 1 or options:
        raise InvalidOptionTypeError(
            "remote", arguments, "write @shoal.remote alone, or with options by name, as in @shoal.remote(num_cpus=2)"
        )
    return _decorate(arguments[0], {})


def _decorate(function_or_class: Any, options: Mapping[str, Any]) -> Any:
    if isinstance(function_or_class, (RemoteFunction, ActorClass)):
        raise InvalidOptionTypeError(
            "remote", function_or_class, "it is decorated already; use .options(...) to change options"
        )
    if isinstance(function_or_class, type):
        return make_actor_class(function_or_class, options)
    if callable(function_or_class):
        return make_remote_function(function_or_class, options)
    raise InvalidOptionTypeError("remote", function_or_class, "shoal.remote makes something of functions and classes")
