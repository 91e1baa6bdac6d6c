"""Actor classes: what `@shoal.remote` makes of a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import msgspec

from shoal._core.api.actor_handle import ActorHandle
from shoal._core.api.actor_methods import methods_of
from shoal._core.api.actor_options import check_groups, check_ordering, parse_actor_options
from shoal._core.api.common_options import override
from shoal._core.api.definition_source import DefinitionSource
from shoal._core.api.runtime import SESSION
from shoal._core.api.strategy_option import StrategyOption
from shoal._core.schema.definitions import ActorTemplate, MethodDefinition
from shoal._core.schema.options import ActorOptions
from shoal._core.schema.resources import SchedulingStrategy
from shoal.exceptions import ShoalError

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault
    from typing_extensions import Unpack

    from shoal._core.api.engine import Engine
    from shoal._core.api.keywords import ActorKeywords
    from shoal.dag import ClassNode

    T = TypeVarWithDefault("T", default=Any)
else:
    T = TypeVar("T")

_NOT_PREPARED = -1


class ActorClassInheritanceException(ShoalError, TypeError):
    """A class was derived from one that is decorated with `shoal.remote` already."""


class ActorClassMetadata:
    """What libraries ask of an actor class.

    Attributes:
        class_name: name of the class.
        modified_class: the class itself.
    """

    __slots__ = ("class_name", "modified_class")

    def __init__(self, modified_class: type) -> None:
        self.modified_class = modified_class
        self.class_name = modified_class.__name__


class ActorClass(Generic[T]):
    """A class whose instances are actors. Made by `shoal.remote`; make an actor with `.remote(...)`."""

    def __init__(self, source: DefinitionSource, given: Mapping[str, Any]) -> None:
        self._shoal_source = source
        self._default_options = dict(given)
        self._shoal_parsed: tuple[ActorOptions, StrategyOption] | None = None
        self._shoal_methods: dict[str, MethodDefinition] | None = None
        self._shoal_templates: dict[SchedulingStrategy, ActorTemplate] = {}
        self._shoal_serial = _NOT_PREPARED

    def _shoal_parse(self) -> tuple[ActorOptions, StrategyOption]:
        if self._shoal_parsed is None:
            self._shoal_parsed = parse_actor_options(self._default_options)
        return self._shoal_parsed

    def remote(self, /, *args: Any, **kwargs: Any) -> ActorHandle[T]:
        """Makes an actor: a process of its own with an instance of the class. Returns before its constructor runs.

        Args:
            args, kwargs: the constructor's arguments. References are given to it as their values.

        Raises:
            TypeError: the constructor would, for such arguments.
            ActorAlreadyExistsError: (a ValueError) another actor has that `name`.
            InvalidOptionError: (a ValueError) the options do not fit together, or in the placement group.
        """
        engine = SESSION.require()
        template = self._shoal_prepare(engine)
        self._shoal_source.check(*args, **kwargs)
        return ActorHandle(engine.create_actor(template, args, kwargs), SESSION.serial)

    def _shoal_prepare(self, engine: Engine) -> ActorTemplate:
        """Returns what actors are made of in the current session."""
        options, strategy = self._shoal_parse()
        if self._shoal_serial != SESSION.serial:
            self._shoal_templates = {}
            self._shoal_serial = SESSION.serial
        chosen = strategy.fixed
        if SESSION.runs_tasks and strategy.depends_on_caller(engine):
            chosen = strategy.resolve(engine.context())
        template = self._shoal_templates.get(chosen)
        if template is None:
            template = self._shoal_templates[chosen] = self._shoal_template(options, strategy, chosen)
        return template

    def _shoal_template(
        self, options: ActorOptions, strategy: StrategyOption, chosen: SchedulingStrategy
    ) -> ActorTemplate:
        source = self._shoal_source
        strategy.check_fits(options.resources, source.name)
        if self._shoal_methods is None:
            self._shoal_methods = methods_of(source.value)
        methods = self._shoal_methods
        check_groups(options, {name: method.options.concurrency_group for name, method in methods.items()})
        detached = options.detached or (SESSION.detached_by_default and self._default_options.get("lifetime") is None)
        if chosen is not options.strategy or detached != options.detached:
            options = msgspec.structs.replace(options, strategy=chosen, detached=detached)
        template = ActorTemplate(source.definition(), options, methods)
        check_ordering(options, template.is_async)
        return template

    def options(self, **options: Unpack[ActorKeywords]) -> ActorClass[T]:
        """Returns the class with other options; this one stays as it is.

        Args:
            options: any of `shoal.remote`'s options for actors.

        Raises:
            InvalidOptionError: (a ValueError) an option does not exist, or cannot have that value.
            InvalidOptionTypeError: (a TypeError) an option has a wrong type.

        Example:
            >>> import shoal
            >>> @shoal.remote
            ... class Greeter:
            ...     def greet(self):
            ...         return "hello"
            >>> greeter = Greeter.options(name="greeter").remote()
            >>> shoal.get(shoal.get_actor("greeter").greet.remote())
            'hello'
            >>> shoal.shutdown()
        """
        changed: ActorClass[T] = ActorClass(self._shoal_source, override(self._default_options, options))
        changed._shoal_methods = self._shoal_methods
        changed._shoal_parse()
        return changed

    def bind(self, /, *args: Any, **kwargs: Any) -> ClassNode:
        """Returns a node of a lazy graph that stands for an actor made with these arguments (see `shoal.dag`)."""
        from shoal.dag import ClassNode

        return ClassNode(self, args, kwargs)

    if not TYPE_CHECKING:  # type checkers find the mistake themselves

        def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
            name = self._shoal_source.name
            raise TypeError(
                f"Actors cannot be made by calling the class. Instead of '{name}()', write '{name}.remote()'."
            )

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        name = self._shoal_source.name
        raise ActorClassInheritanceException(
            f"'{name}' is decorated with shoal.remote, so no class can be derived from it. Derive from an ordinary class, and "
            "decorate the derived one."
        )

    @property
    def __ray_metadata__(self) -> ActorClassMetadata:
        return ActorClassMetadata(self._shoal_source.value)

    @property
    def __shoal_metadata__(self) -> ActorClassMetadata:
        return ActorClassMetadata(self._shoal_source.value)

    def __getattr__(self, name: str) -> Any:
        """What the class has, its decorated form has: constants, static methods, its name."""
        if name.startswith("_shoal_"):
            raise AttributeError(name)
        return getattr(self._shoal_source.value, name)

    def __repr__(self) -> str:
        return f"ActorClass({self._shoal_source.name})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _new_actor_class, (), (self._shoal_source, self._default_options)

    def __setstate__(self, state: tuple[DefinitionSource, dict[str, Any]]) -> None:
        self.__init__(*state)  # type: ignore[misc]


def _new_actor_class() -> ActorClass[Any]:
    return ActorClass.__new__(ActorClass)


def make_actor_class(actor_class: type, given: Mapping[str, Any]) -> ActorClass[Any]:
    """Returns the actor form of a class. Raises InvalidOptionError, InvalidOptionTypeError."""
    decorated: ActorClass[Any] = ActorClass(DefinitionSource(actor_class), given)
    decorated.__doc__ = actor_class.__doc__
    decorated.__module__ = actor_class.__module__
    decorated._shoal_parse()
    return decorated
