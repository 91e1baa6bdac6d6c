"""Remote functions: what `@shoal.remote` makes of a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from shoal._core.api.common_options import override
from shoal._core.api.definition_source import DefinitionSource, accept_anything, is_coroutine_function
from shoal._core.api.results import shape_results
from shoal._core.api.runtime import SESSION
from shoal._core.api.signature import Check
from shoal._core.api.strategy_option import StrategyOption
from shoal._core.api.task_options import parse_task_options
from shoal._core.api.typed_calls import F_co, Out_co, RemoteCall
from shoal._core.schema.definitions import TaskTemplate
from shoal._core.schema.options import DYNAMIC, TaskOptions
from shoal._core.schema.resources import SchedulingStrategy
from shoal.exceptions import InvalidOptionError

if TYPE_CHECKING:
    from typing import Literal, overload

    from typing_extensions import Unpack

    from shoal._core.api.engine import Engine
    from shoal._core.api.generator import ObjectRefGenerator
    from shoal._core.api.keywords import TaskKeywords
    from shoal._core.process.object_ref import ObjectRef
    from shoal.dag import FunctionNode

_KEPT_VARIANTS = 64
_NOT_PREPARED = -1


class RemoteFunction(RemoteCall[F_co, Out_co]):
    """A function that runs as a task. Made by `shoal.remote`; call it with `.remote(...)`."""

    def __init__(self, source: DefinitionSource, given: Mapping[str, Any]) -> None:
        self._source = source
        self._default_options = dict(given)
        self._variants: dict[Any, RemoteFunction[Any, Any]] = {}
        self._serial = _NOT_PREPARED
        self._template: TaskTemplate | None = None
        self._templates: dict[SchedulingStrategy, TaskTemplate] = {}
        self._templates_serial = _NOT_PREPARED
        self._check: Check = accept_anything
        self._num_returns = 1
        self._single = True
        self._parsed: tuple[TaskOptions, StrategyOption] | None = None

    def _parse(self) -> tuple[TaskOptions, StrategyOption]:
        parsed = self._parsed
        if parsed is None:
            parsed = self._parsed = parse_task_options(self._default_options, self._source.is_generator)
            self._num_returns = parsed[0].num_returns
            self._single = self._num_returns in (1, DYNAMIC)
        return parsed

    def _remote(self, /, *args: Any, **kwargs: Any) -> Any:
        """Submits a task. Returns at once.

        Arguments that are references are given to the function as their values. Raises TypeError where the function would for such
        arguments.
        """
        session = SESSION
        engine = session.engine
        template = self._template
        if self._serial != session.serial or engine is None or template is None:
            engine, template = self._prepare()
        self._check(*args, **kwargs)
        results = engine.submit_task(template, args, kwargs)
        if self._single:
            return results[0]  # type: ignore[index]
        return shape_results(self._num_returns, results)

    if not TYPE_CHECKING:
        remote = _remote  # type checkers take its many signatures from RemoteCall

    def _prepare(self) -> tuple[Engine, TaskTemplate]:
        """Makes what calls in the current session need; begins a session where there is none."""
        engine = SESSION.require()
        options, strategy = self._parse()
        self._check = self._source.check
        if self._templates_serial != SESSION.serial:
            self._templates = {}
            self._templates_serial = SESSION.serial
        if strategy.from_context and SESSION.runs_tasks:
            # Which task calls may decide, so every call comes by here.
            chosen = strategy.resolve(engine.context()) if strategy.depends_on_caller(engine) else strategy.fixed
            return engine, self._template_for(chosen, options, strategy)
        self._template = self._template_for(strategy.fixed, options, strategy)
        self._serial = SESSION.serial
        return engine, self._template

    def _template_for(self, chosen: SchedulingStrategy, options: TaskOptions, strategy: StrategyOption) -> TaskTemplate:
        template = self._templates.get(chosen)
        if template is None:
            strategy.check_fits(options.resources, self._source.name)
            definition = self._source.definition()
            if chosen is not options.strategy:
                options = msgspec.structs.replace(options, strategy=chosen)
            template = self._templates[chosen] = TaskTemplate(definition, options)
        return template

    if TYPE_CHECKING:

        @overload
        def options(  # type: ignore[overload-overlap]
            self, *, num_returns: Literal[1], **options: Unpack[TaskKeywords]
        ) -> RemoteFunction[F_co, ObjectRef[Any]]: ...
        @overload
        def options(  # type: ignore[overload-overlap]
            self, *, num_returns: Literal[0], **options: Unpack[TaskKeywords]
        ) -> RemoteFunction[F_co, None]: ...
        @overload
        def options(
            self, *, num_returns: int, **options: Unpack[TaskKeywords]
        ) -> RemoteFunction[F_co, list[ObjectRef[Any]]]: ...
        @overload
        def options(
            self, *, num_returns: Literal["streaming"], **options: Unpack[TaskKeywords]
        ) -> RemoteFunction[F_co, ObjectRefGenerator[Any]]: ...
        @overload
        def options(
            self, *, num_returns: Literal["dynamic"], **options: Unpack[TaskKeywords]
        ) -> RemoteFunction[F_co, ObjectRef[Any]]: ...
        @overload
        def options(
            self, *, num_returns: None = None, **options: Unpack[TaskKeywords]
        ) -> RemoteFunction[F_co, Out_co]: ...

    def options(self, **options: Any) -> Any:
        """Returns the function with other options; this one stays as it is.

        Args:
            options: any of `shoal.remote`'s options for tasks.

        Raises:
            InvalidOptionError: (a ValueError) an option does not exist, or cannot have that value.
            InvalidOptionTypeError: (a TypeError) an option has a wrong type.

        Example:
            >>> import shoal
            >>> @shoal.remote
            ... def pair():
            ...     return 1, 2
            >>> first, second = pair.options(num_returns=2).remote()
            >>> shoal.get(second)
            2
            >>> shoal.shutdown()
        """
        key = tuple(options.items())
        try:
            variant = self._variants.get(key)
        except TypeError:  # a list or dict among the values
            return self._with(options)
        if variant is None:
            variant = self._with(options)
            if len(self._variants) >= _KEPT_VARIANTS:
                self._variants.clear()
            self._variants[key] = variant
        return variant

    def _with(self, options: Mapping[str, Any]) -> RemoteFunction[Any, Any]:
        variant: RemoteFunction[Any, Any] = RemoteFunction(self._source, override(self._default_options, options))
        variant._parse()
        return variant

    def bind(self, /, *args: Any, **kwargs: Any) -> FunctionNode:
        """Returns a node of a lazy graph that stands for a call with these arguments (see `shoal.dag`)."""
        from shoal.dag import FunctionNode

        return FunctionNode(self, args, kwargs)

    if not TYPE_CHECKING:  # type checkers find the mistake themselves

        def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
            name = self._source.name
            raise TypeError(
                f"Remote functions cannot be called directly. Instead of '{name}()', write '{name}.remote()'."
            )

    @property
    def _function(self) -> Callable[..., Any]:
        function: Callable[..., Any] = self._source.value
        return function

    @property
    def _function_name(self) -> str:
        function = self._source.value
        return f"{getattr(function, '__module__', None)}.{self._source.name}"

    # What `help`, doctest and documentation tools look at is the function's.
    def __getattr__(self, name: str) -> Any:
        if name in ("__name__", "__qualname__", "__wrapped__", "__annotations__", "__defaults__", "__kwdefaults__"):
            function = self._source.value
            return function if name == "__wrapped__" else getattr(function, name)
        hint = ""
        if not name.startswith("_"):
            hint = f"; to use the function itself write {self._source.name}._function"
        raise AttributeError(f"'RemoteFunction' object has no attribute {name!r}{hint}")

    def __repr__(self) -> str:
        return f"RemoteFunction({self._source.name})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _new_remote_function, (), (self._source, self._default_options)

    def __setstate__(self, state: tuple[DefinitionSource, dict[str, Any]]) -> None:
        self.__init__(*state)  # type: ignore[misc]


def _new_remote_function() -> RemoteFunction[Any, Any]:
    return RemoteFunction.__new__(RemoteFunction)


def make_remote_function(function: Callable[..., Any], given: Mapping[str, Any]) -> RemoteFunction[Any, Any]:
    """Returns the remote form of a function. Raises InvalidOptionError, InvalidOptionTypeError."""
    if is_coroutine_function(function):
        raise InvalidOptionError(
            "function",
            function,
            "'async def' functions cannot be tasks; call asyncio.run(...) in an ordinary one, or make them methods of an actor",
        )
    remote_function: RemoteFunction[Any, Any] = RemoteFunction(DefinitionSource(function), given)
    remote_function.__doc__ = getattr(function, "__doc__", None)
    remote_function.__module__ = getattr(function, "__module__", "")
    remote_function._parse()
    return remote_function
