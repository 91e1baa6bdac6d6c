"""Calls of remote functions in a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shoal.dag.dag_node import DAGNode, Execution

if TYPE_CHECKING:
    from shoal._core.api.remote_function import RemoteFunction


class FunctionNode(DAGNode):
    """A call of a remote function. Made by `f.bind(...)`; executed it gives a reference to the function's result."""

    def __init__(self, function: RemoteFunction[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        super().__init__(args, kwargs, function._default_options)
        self._function = function

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], execution: Execution) -> Any:
        return self._function._remote(*args, **kwargs)

    def _describe(self) -> str:
        return self._function._source.name
