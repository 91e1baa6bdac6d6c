"""The input of a graph, and parts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.dag.dag_node import DAGNode, Execution
from shoal.exceptions import InvalidOptionError

if TYPE_CHECKING:
    from types import TracebackType


class DAGInputData:
    """The input of a graph that was executed with several values: by position or by name.

    Args:
        args, kwargs: what `execute` was given.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._args = args
        self._kwargs = kwargs

    def __getitem__(self, key: int | str) -> Any:
        try:
            return self._args[key] if isinstance(key, int) else self._kwargs[key]
        except (IndexError, KeyError):
            raise InvalidOptionError(
                "execute", self, f"the graph uses its input {key!r}, which execute(...) was not given"
            ) from None

    def __repr__(self) -> str:
        shown = [repr(value) for value in self._args] + [f"{name}={value!r}" for name, value in self._kwargs.items()]
        return f"({', '.join(shown)})"


def input_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Returns a graph's input: the one value that `execute` was given, or all of them."""
    return args[0] if len(args) == 1 and not kwargs else DAGInputData(*args, **kwargs)


class InputNode(DAGNode):
    """Stands for what `execute` will be given. `x[0]`, `x["key"]` and `x.name` stand for parts of it.

    With one value, these are the value's own items and attributes; with several, the values by position and name.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or kwargs:
            raise InvalidOptionError(
                "InputNode", args or kwargs, "it takes no arguments; its value comes from execute(...)"
            )
        super().__init__()

    def __enter__(self) -> InputNode:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    def __getattr__(self, name: str) -> InputAttributeNode:
        if name.startswith("_"):
            raise AttributeError(name)
        return InputAttributeNode(self, name, by_item=False)

    def __getitem__(self, key: int | str) -> InputAttributeNode:
        return InputAttributeNode(self, key, by_item=True)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], execution: Execution) -> Any:
        given = execution.given
        if isinstance(given, DAGInputData) and not given._args and not given._kwargs:
            raise InvalidOptionError("execute", given, "the graph has an input: give its value")
        return given


class InputAttributeNode(DAGNode):
    """Stands for a part of the graph's input.

    Args:
        dag_input_node: the input.
        key: position, key or name.
        by_item: whether it was written `x[key]`, and not `x.key`.
    """

    def __init__(self, dag_input_node: InputNode, key: int | str, *, by_item: bool) -> None:
        super().__init__((dag_input_node,))
        self._key = key
        self._by_item = by_item

    @property
    def key(self) -> int | str:
        return self._key

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], execution: Execution) -> Any:
        given = args[0]
        if self._by_item or isinstance(given, DAGInputData):
            return given[self._key]
        return getattr(given, str(self._key))

    def _describe(self) -> str:
        return repr(self._key)
