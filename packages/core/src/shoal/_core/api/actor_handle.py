"""Handles to actors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from shoal._core.api.actor_method import ActorMethod, session_ended
from shoal._core.api.actor_methods import BUILT_IN_METHODS
from shoal._core.api.checks import did_you_mean
from shoal._core.api.ids import ActorID
from shoal._core.api.runtime import SESSION
from shoal._core.system.serialization import note_ref
from shoal.exceptions import SessionEndedError

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    from shoal._core.api.engine import ActorRef

    T = TypeVarWithDefault("T", default=Any)
    _AnyAttributes = Any
    """Type checkers do not know an actor's methods: any attribute will do. See `ActorProxy` for those that shall be checked."""
else:
    T = TypeVar("T")

    class _AnyAttributes:
        """Nothing, when the program runs."""


ActorProxy = Annotated[T, "handle to an actor of this class"]
"""A handle whose methods are checked: of `ActorProxy[Counter]` those that `Counter` decorates with `shoal.method` can be called,
with arguments and results as declared. Wherever one is expected, a handle will do."""


class ActorHandle(_AnyAttributes, Generic[T]):  # type: ignore[misc]
    """A handle to an actor: its methods, each with `.remote(...)`.

    An actor lives while there are handles to it, anywhere; those from `shoal.get_actor` and from the runtime context do not count.
    Handles can be passed to tasks and actors, and be kept in objects. Equal where they are handles to the same actor.

    Example:
        >>> import shoal
        >>> @shoal.remote
        ... class Counter:
        ...     def __init__(self):
        ...         self.sum = 0
        ...     def add(self, n):
        ...         self.sum += n
        ...         return self.sum
        >>> counter = Counter.remote()
        >>> shoal.get(counter.add.remote(2))
        2
        >>> shoal.shutdown()
    """

    def __init__(self, actor: ActorRef, serial: int) -> None:
        self._shoal_actor = actor
        self._shoal_serial = serial

    @property
    def _actor_id(self) -> ActorID:
        return ActorID(self._shoal_actor.actor_id)

    @property
    def _ray_actor_id(self) -> ActorID:
        return ActorID(self._shoal_actor.actor_id)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_shoal_"):
            raise AttributeError(name)
        actor = self._shoal_actor
        definition = actor.template.methods.get(name) or BUILT_IN_METHODS.get(name)
        if definition is None:
            known = [method for method in actor.template.methods if not method.startswith("__")]
            hint = (
                "" if name.startswith("__") else f".{did_you_mean(name, known)} Handles have the actor's methods alone"
            )
            raise AttributeError(f"actor {actor.template.definition.name} has no method {name!r}{hint}")
        method: ActorMethod[Any, Any] = ActorMethod(actor, self._shoal_serial, definition, definition.options)
        self.__dict__[name] = method
        return method

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._shoal_actor.template.methods, *BUILT_IN_METHODS})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and self._shoal_actor.actor_id == other._shoal_actor.actor_id

    def __hash__(self) -> int:
        return hash(self._shoal_actor.actor_id)

    def __repr__(self) -> str:
        actor = self._shoal_actor
        return f"Actor({actor.template.definition.name}, {actor.actor_id.hex()})"

    def __reduce__(self) -> tuple[Any, ...]:
        actor = self._shoal_actor
        engine = SESSION.engine
        if engine is None or self._shoal_serial != SESSION.serial:
            raise session_ended(actor)
        if not actor.weak:
            note_ref(actor)
        return _rebuild_handle, engine.actor_parts(actor)


def _rebuild_handle(*parts: Any) -> ActorHandle[Any]:
    engine = SESSION.engine
    if engine is None:
        raise SessionEndedError(
            "a handle to an actor was unpickled in a process that has no shoal session; call shoal.init() first"
        )
    return ActorHandle(engine.rebuild_actor(parts), SESSION.serial)
