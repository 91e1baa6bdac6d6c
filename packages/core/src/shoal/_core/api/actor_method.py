"""Methods of actors, as handles offer them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from shoal._core.api.actor_options import check_groups, parse_method_options
from shoal._core.api.definition_source import accept_anything
from shoal._core.api.results import shape_results
from shoal._core.api.runtime import SESSION
from shoal._core.api.typed_calls import F_co, Out_co, RemoteCall
from shoal._core.schema.definitions import MethodDefinition, MethodTemplate
from shoal._core.schema.options import DYNAMIC, MethodOptions
from shoal.exceptions import SessionEndedError

if TYPE_CHECKING:
    from typing import Literal, overload

    from typing_extensions import Unpack

    from shoal._core.api.engine import ActorRef
    from shoal._core.api.generator import ObjectRefGenerator
    from shoal._core.api.keywords import MethodKeywords
    from shoal._core.api.signature import Check
    from shoal._core.process.object_ref import ObjectRef
    from shoal.dag import ClassMethodNode


class ActorMethod(RemoteCall[F_co, Out_co]):
    """A method of one actor. Call it with `.remote(...)`."""

    __slots__ = ("_actor", "_check", "_definition", "_num_returns", "_serial", "_single", "_template")

    def __init__(self, actor: ActorRef, serial: int, definition: MethodDefinition, options: MethodOptions) -> None:
        # It holds the actor and not the handle, which keeps this object: in a circle neither would go when it is let go.
        self._actor = actor
        self._serial = serial
        self._definition = definition
        self._template = MethodTemplate(actor.actor_id, definition.name, options)
        signature: Any = definition.signature
        self._check: Check = signature.check if signature is not None else accept_anything
        self._num_returns = options.num_returns
        self._single = options.num_returns in (1, DYNAMIC)

    def _remote(self, /, *args: Any, **kwargs: Any) -> Any:
        """Submits a call of the method. Returns at once.

        Arguments that are references are given to the method as their values. Raises TypeError where the method would for such
        arguments, SessionEndedError where the actor's session has ended.
        """
        session = SESSION
        engine = session.engine
        if self._serial != session.serial or engine is None:
            raise session_ended(self._actor)
        self._check(*args, **kwargs)
        results = engine.call_actor(self._actor, self._template, args, kwargs)
        if self._single:
            return results[0]  # type: ignore[index]
        return shape_results(self._num_returns, results)

    if not TYPE_CHECKING:
        remote = _remote  # type checkers take its many signatures from RemoteCall

    if TYPE_CHECKING:

        @overload
        def options(  # type: ignore[overload-overlap]
            self, *, num_returns: Literal[1], **options: Unpack[MethodKeywords]
        ) -> ActorMethod[F_co, ObjectRef[Any]]: ...
        @overload
        def options(  # type: ignore[overload-overlap]
            self, *, num_returns: Literal[0], **options: Unpack[MethodKeywords]
        ) -> ActorMethod[F_co, None]: ...
        @overload
        def options(
            self, *, num_returns: int, **options: Unpack[MethodKeywords]
        ) -> ActorMethod[F_co, list[ObjectRef[Any]]]: ...
        @overload
        def options(
            self, *, num_returns: Literal["streaming"], **options: Unpack[MethodKeywords]
        ) -> ActorMethod[F_co, ObjectRefGenerator[Any]]: ...
        @overload
        def options(
            self, *, num_returns: Literal["dynamic"], **options: Unpack[MethodKeywords]
        ) -> ActorMethod[F_co, ObjectRef[Any]]: ...
        @overload
        def options(
            self, *, num_returns: None = None, **options: Unpack[MethodKeywords]
        ) -> ActorMethod[F_co, Out_co]: ...

    def options(self, **options: Any) -> Any:
        """Returns the method with other options for its calls: num_returns, name, concurrency_group, max_task_retries,
        retry_exceptions, _generator_backpressure_num_objects.

        Raises InvalidOptionError (a ValueError), InvalidOptionTypeError (a TypeError).
        """
        return self._with(options)

    def _with(self, options: Mapping[str, Any]) -> ActorMethod[Any, Any]:
        parsed = parse_method_options(options, self._definition.is_generator, self._template.options)
        check_groups(self._actor.template.options, {self._definition.name: parsed.concurrency_group})
        return ActorMethod(self._actor, self._serial, self._definition, parsed)

    def bind(self, /, *args: Any, **kwargs: Any) -> ClassMethodNode:
        """Returns a node of a lazy graph that stands for a call with these arguments (see `shoal.dag`)."""
        from shoal.dag import ClassMethodNode

        return ClassMethodNode(self, args, kwargs)

    if not TYPE_CHECKING:  # type checkers find the mistake themselves

        def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
            name = self._definition.name
            raise TypeError(
                f"Actor methods cannot be called directly. Instead of 'actor.{name}()', write 'actor.{name}.remote()'."
            )

    @property
    def _method_name(self) -> str:
        return self._definition.name

    def __repr__(self) -> str:
        return f"ActorMethod({self._actor.template.definition.name}.{self._definition.name})"

    def __reduce__(self) -> tuple[Any, ...]:
        from shoal._core.api.actor_handle import ActorHandle

        handle: ActorHandle[Any] = ActorHandle(self._actor, self._serial)
        return _rebuild_method, (handle, self._definition.name, self._template.options)


def _rebuild_method(handle: Any, name: str, options: MethodOptions) -> ActorMethod[Any, Any]:
    method: ActorMethod[Any, Any] = getattr(handle, name)
    return ActorMethod(method._actor, method._serial, method._definition, options)


def session_ended(actor: ActorRef) -> SessionEndedError:
    """Returns the error for a handle whose session is over."""
    SESSION.check_may_begin()
    return SessionEndedError(
        f"the handle to actor {actor.template.definition.name} ({actor.actor_id.hex()}) belongs to a shoal session that has "
        "ended; the actor ended with it. Make a new actor."
    )
