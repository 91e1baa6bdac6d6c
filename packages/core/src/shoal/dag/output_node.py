"""Graphs with several results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.dag.dag_node import DAGNode, Execution
from shoal.exceptions import InvalidOptionError


class MultiOutputNode(DAGNode):
    """The results of several nodes. Executed it gives a list of references.

    Args:
        args: the nodes.
    """

    def __init__(self, args: Sequence[DAGNode] | DAGNode) -> None:
        nodes = [args] if isinstance(args, DAGNode) else args
        if not isinstance(nodes, (list, tuple)) or not all(isinstance(node, DAGNode) for node in nodes):
            raise InvalidOptionError("args", args, "give a list of nodes")
        super().__init__(nodes)

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], execution: Execution) -> Any:
        return list(args)
