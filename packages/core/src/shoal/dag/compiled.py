"""Names of Ray's compiled graphs, which shoal does not have: using one says what to do instead."""

from __future__ import annotations

from typing import Any, NoReturn

from shoal.dag.dag_node import NO_COMPILED_GRAPHS, DAGNode
from shoal.exceptions import UnsupportedError


class _CompiledOnly:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedError(f"shoal.dag.{type(self).__name__}", NO_COMPILED_GRAPHS)


class CompiledDAG(_CompiledOnly):
    """Not supported. Execute the graph as it is."""


class CompiledDAGRef(_CompiledOnly):
    """Not supported. Executions give ordinary references."""


class DAGOperationFuture(_CompiledOnly):
    """Not supported."""


class GPUFuture(_CompiledOnly):
    """Not supported."""


class CollectiveOutputNode(_CompiledOnly, DAGNode):
    """Not supported. Collectives run inside of actors, on a group of `shoal.util.collective` or of torch.distributed."""


class DAGContext:
    """Settings of compiled graphs."""

    @staticmethod
    def get_current() -> NoReturn:
        """Raises UnsupportedError: there is nothing to set."""
        raise UnsupportedError("shoal.dag.DAGContext", NO_COMPILED_GRAPHS)


def plot(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises UnsupportedError."""
    raise UnsupportedError("shoal.dag.plot", "print(node) shows a graph as text.")
