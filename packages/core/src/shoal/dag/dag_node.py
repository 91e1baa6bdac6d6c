"""What all nodes of a graph have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from shoal.dag.nested_nodes import replace_nodes
from shoal.exceptions import UnsupportedError

NO_COMPILED_GRAPHS = (
    "Graphs run as ordinary tasks and actor calls: use .execute(). Calls to actors go straight to their processes, and arrays travel "
    "through shared memory."
)


class DAGNode:
    """A node of a lazy graph: a call that has not been made. Its arguments may be nodes."""

    _previous: DAGNode | None = None
    """The call that has to be made before this one, without being among its arguments."""

    def __init__(
        self,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._bound_args = tuple(args)
        self._bound_kwargs = dict(kwargs or {})
        self._bound_options = dict(options or {})

    def get_args(self) -> tuple[Any, ...]:
        """Returns the positional arguments of the call."""
        return self._bound_args

    def get_kwargs(self) -> dict[str, Any]:
        """Returns the keyword arguments of the call."""
        return dict(self._bound_kwargs)

    def get_options(self) -> dict[str, Any]:
        """Returns the options of the call."""
        return dict(self._bound_options)

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Makes all calls that the node depends on, each once, and its own. Returns what the node's call returns.

        Args:
            args, kwargs: the graph's input (see `InputNode`).
        """
        from shoal.dag.input_node import input_of

        return Execution(input_of(args, kwargs)).result_of(self)

    def apply_recursive(self, fn: Callable[[Any], Any]) -> Any:
        """Returns `fn(node)`, for a copy of this node whose arguments are what `fn` has returned for theirs.

        Each node is visited once, arguments first.
        """
        return _Application(fn).result_of(self)

    def experimental_compile(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises UnsupportedError: graphs are not compiled."""
        raise UnsupportedError("experimental_compile", NO_COMPILED_GRAPHS)

    def with_tensor_transport(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises UnsupportedError: graphs are not compiled."""
        raise UnsupportedError("with_tensor_transport", NO_COMPILED_GRAPHS)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], execution: Execution) -> Any:
        """Makes the node's call, with the results of its arguments. Each kind of node has its own."""
        raise NotImplementedError

    def _with_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any], apply: Callable[[Any], Any]) -> DAGNode:
        """Returns a copy of the node with other arguments. Nodes that refer to further nodes take them through `apply`."""
        copy = self.__class__.__new__(self.__class__)
        copy.__dict__.update(self.__dict__)
        copy._bound_args = args
        copy._bound_kwargs = kwargs
        if self._previous is not None:
            copy._previous = apply(self._previous)
        return copy

    def _describe(self) -> str:
        """Returns what is called, for people."""
        return ""

    def __repr__(self) -> str:
        shown = [repr(argument) for argument in self._bound_args]
        shown += [f"{name}={argument!r}" for name, argument in self._bound_kwargs.items()]
        name = self._describe()
        return f"{type(self).__name__}({', '.join(([name] if name else []) + shown)})"


class Visit:
    """One visit of a node and of all that it depends on: each once, and after what it depends on itself."""

    def __init__(self) -> None:
        self._results: dict[int, Any] = {}

    def result_of(self, node: DAGNode) -> Any:
        """Returns what the visit makes of a node."""
        # There may be more calls one before the other than Python's calls go deep.
        to_visit: list[DAGNode] = []
        next_one: DAGNode | None = node
        while next_one is not None and id(next_one) not in self._results:
            to_visit.append(next_one)
            next_one = next_one._previous
        for one in reversed(to_visit):
            args = tuple(replace_nodes(argument, self.result_of) for argument in one._bound_args)
            kwargs = {name: replace_nodes(argument, self.result_of) for name, argument in one._bound_kwargs.items()}
            self._results[id(one)] = self._visited(one, args, kwargs)
        return self._results[id(node)]

    def _visited(self, node: DAGNode, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError


class Execution(Visit):
    """One execution of a graph: each node's call is made once.

    Args:
        given: the graph's input.
    """

    def __init__(self, given: Any) -> None:
        super().__init__()
        self.given = given

    def _visited(self, node: DAGNode, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return node._run(args, kwargs, self)


class _Application(Visit):
    """One visit of all nodes with a function."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self._function = function

    def _visited(self, node: DAGNode, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._function(node._with_arguments(args, kwargs, self.result_of))
