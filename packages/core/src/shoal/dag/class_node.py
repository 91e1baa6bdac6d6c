"""Actors and calls of their methods in a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shoal.dag.dag_node import DAGNode, Execution

if TYPE_CHECKING:
    from shoal._core.api.actor_class import ActorClass
    from shoal._core.api.actor_method import ActorMethod


class ClassNode(DAGNode):
    """An actor that every execution makes anew. Made by `ActorClass.bind(...)`; its methods are bound in turn:
    `node.method.bind(...)`. They are called in the order in which they were bound: a call brings those before it along, also where
    nobody asks for their results."""

    def __init__(self, actor_class: ActorClass[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        super().__init__(args, kwargs, actor_class._default_options)
        self._actor_class = actor_class
        self._last_call: ClassMethodNode | None = None

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], execution: Execution) -> Any:
        return self._actor_class.remote(*args, **kwargs)

    def __getattr__(self, name: str) -> UnboundMethod:
        if name.startswith("_"):
            raise AttributeError(name)
        self._actor_class.__getattr__(name)  # raises for a method that the class does not have
        return UnboundMethod(self, name, {})

    def _describe(self) -> str:
        return str(self._actor_class._shoal_source.name)


class UnboundMethod:
    """A method of an actor in a graph, still without arguments."""

    def __init__(self, actor: ClassNode, name: str, options: Mapping[str, Any]) -> None:
        self._actor = actor
        self._name = name
        self._options = dict(options)

    def options(self, **options: Any) -> UnboundMethod:
        """Returns the method with other options for its call."""
        return UnboundMethod(self._actor, self._name, {**self._options, **options})

    def bind(self, *args: Any, **kwargs: Any) -> ClassMethodNode:
        """Returns the node of a call with these arguments."""
        node = ClassMethodNode(MethodOfNode(self._actor, self._name, self._options), args, kwargs)
        node._previous, self._actor._last_call = self._actor._last_call, node
        return node


class MethodOfNode:
    """A method of an actor that the graph itself makes.

    Args:
        actor: the actor's node.
        name: the method.
        options: of the call.
    """

    def __init__(self, actor: DAGNode, name: str, options: Mapping[str, Any]) -> None:
        self.actor = actor
        self.name = name
        self.options = dict(options)


class ClassMethodNode(DAGNode):
    """A call of an actor's method. Made by `handle.method.bind(...)`, or of a method of a `ClassNode`."""

    def __init__(
        self, method: ActorMethod[Any, Any] | MethodOfNode, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        super().__init__(args, kwargs, method.options if isinstance(method, MethodOfNode) else {})
        self._method = method

    def get_method_name(self) -> str:
        """Returns the name of the method."""
        return self._method.name if isinstance(self._method, MethodOfNode) else self._method._method_name

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], execution: Execution) -> Any:
        method: Any = self._method
        if isinstance(method, MethodOfNode):
            bound = getattr(execution.result_of(method.actor), method.name)
            method = bound.options(**method.options) if method.options else bound
        return method.remote(*args, **kwargs)

    def _with_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any], apply: Callable[[Any], Any]) -> DAGNode:
        copy = super()._with_arguments(args, kwargs, apply)
        if isinstance(self._method, MethodOfNode) and isinstance(copy, ClassMethodNode):
            copy._method = MethodOfNode(apply(self._method.actor), self._method.name, self._method.options)
        return copy

    def _describe(self) -> str:
        return self.get_method_name()
