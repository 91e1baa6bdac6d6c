"""`shoal.method`: options of an actor's methods, where they are written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, Protocol, TypeVar, overload

from shoal._core.api.actor_methods import OPTIONS_ATTRIBUTE
from shoal._core.api.actor_options import parse_method_options
from shoal._core.api.definition_source import is_generator_function
from shoal.exceptions import InvalidOptionTypeError

if TYPE_CHECKING:
    from typing import Literal, ParamSpec

    from typing_extensions import Unpack

    from shoal._core.api.generator import ObjectRefGenerator
    from shoal._core.api.keywords import MethodKeywords
    from shoal._core.api.typed_calls import RemoteMethod, Undeclared
    from shoal._core.process.object_ref import ObjectRef

    P = ParamSpec("P")

R = TypeVar("R")
Y = TypeVar("Y")
Out_co = TypeVar("Out_co", covariant=True)


class MethodDecorator(Protocol):
    """`shoal.method(...)` with options, still without a method."""

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, method: Callable[Concatenate[Any, P], Undeclared], /
    ) -> RemoteMethod[Callable[P, Any], ObjectRef[Any]]: ...
    @overload
    def __call__(
        self, method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /
    ) -> RemoteMethod[Callable[P, Coroutine[Any, Any, R]], ObjectRef[R]]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, method: Callable[Concatenate[Any, P], Iterator[Y]], /
    ) -> RemoteMethod[Callable[P, Iterator[Y]], ObjectRefGenerator[Y]]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, method: Callable[Concatenate[Any, P], AsyncIterator[Y]], /
    ) -> RemoteMethod[Callable[P, AsyncIterator[Y]], ObjectRefGenerator[Y]]: ...
    @overload
    def __call__(self, method: Callable[Concatenate[Any, P], R], /) -> RemoteMethod[Callable[P, R], ObjectRef[R]]: ...


class MethodDecoratorWithResults(Protocol[Out_co]):
    """The same, with `num_returns` among the options."""

    def __call__(self, method: Callable[Concatenate[Any, P], R], /) -> RemoteMethod[Callable[P, R], Out_co]: ...


@overload
def method(  # pyright: ignore[reportOverlappingOverload]
    method: Callable[Concatenate[Any, P], Undeclared], /
) -> RemoteMethod[Callable[P, Any], ObjectRef[Any]]: ...
@overload
def method(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /
) -> RemoteMethod[Callable[P, Coroutine[Any, Any, R]], ObjectRef[R]]: ...
@overload
def method(  # type: ignore[overload-overlap]
    method: Callable[Concatenate[Any, P], Iterator[Y]], /
) -> RemoteMethod[Callable[P, Iterator[Y]], ObjectRefGenerator[Y]]: ...
@overload
def method(  # type: ignore[overload-overlap]
    method: Callable[Concatenate[Any, P], AsyncIterator[Y]], /
) -> RemoteMethod[Callable[P, AsyncIterator[Y]], ObjectRefGenerator[Y]]: ...
@overload
def method(method: Callable[Concatenate[Any, P], R], /) -> RemoteMethod[Callable[P, R], ObjectRef[R]]: ...
@overload
def method(
    *, num_returns: Literal["streaming"], **options: Unpack[MethodKeywords]
) -> MethodDecoratorWithResults[ObjectRefGenerator[Any]]: ...
@overload
def method(  # type: ignore[overload-overlap]
    *, num_returns: Literal["dynamic", 1], **options: Unpack[MethodKeywords]
) -> MethodDecoratorWithResults[ObjectRef[Any]]: ...
@overload
def method(  # type: ignore[overload-overlap]
    *, num_returns: Literal[0], **options: Unpack[MethodKeywords]
) -> MethodDecoratorWithResults[None]: ...
@overload
def method(
    *, num_returns: int, **options: Unpack[MethodKeywords]
) -> MethodDecoratorWithResults[list[ObjectRef[Any]]]: ...
@overload
def method(*, num_returns: None = None, **options: Unpack[MethodKeywords]) -> MethodDecorator: ...
def method(*arguments: Any, **options: Any) -> Any:
    """Gives a method of an actor class options of its own. Use it as `@shoal.method` or `@shoal.method(num_returns=2)`.

    Without options it changes nothing when the program runs; type checkers then know the method's calls (see
    `shoal.actor.ActorProxy`).

    Args:
        num_returns: number of results, or 'streaming' for a generator of them.
        concurrency_group: which of the actor's `concurrency_groups` it runs in.
        max_task_retries: further attempts where the actor's death has cut off a call; over the actor's own.
        retry_exceptions: True, or a list of classes, to try again after errors of its own.
        _generator_backpressure_num_objects: items that may be unconsumed before a generator pauses (-1 = any number).

    Raises:
        InvalidOptionError: (a ValueError) an option does not exist, or cannot have that value.
        InvalidOptionTypeError: (a TypeError) it is applied to something else, or an option has a wrong type.

    Example:
        >>> import shoal
        >>> @shoal.remote
        ... class Splitter:
        ...     @shoal.method(num_returns=2)
        ...     def split(self, text):
        ...         return text.split("=")
        >>> key, value = Splitter.remote().split.remote("a=b")
        >>> shoal.get(value)
        'b'
        >>> shoal.shutdown()
    """
    if not arguments:
        return lambda function: _annotate(function, options)
    if len(arguments) > 1 or options:
        raise InvalidOptionTypeError(
            "method",
            arguments,
            "write @shoal.method alone, or with options by name, as in @shoal.method(num_returns=2)",
        )
    return _annotate(arguments[0], {})


def _annotate(method: Any, options: dict[str, Any]) -> Any:
    function = method.__func__ if isinstance(method, (staticmethod, classmethod)) else method
    if not callable(function) or isinstance(function, type):
        raise InvalidOptionTypeError("method", method, "shoal.method goes with methods of actor classes")
    parse_method_options(options, is_generator_function(function))
    setattr(function, OPTIONS_ATTRIBUTE, options)
    return method
