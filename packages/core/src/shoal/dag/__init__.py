"""Lazy graphs: calls that are bound first and executed later, as often as wanted.

Example:
    >>> import shoal
    >>> from shoal.dag import InputNode
    >>> @shoal.remote
    ... def add(x, y):
    ...     return x + y
    >>> with InputNode() as x:
    ...     graph = add.bind(add.bind(x, 1), add.bind(x, 2))
    >>> shoal.get(graph.execute(10))
    23
    >>> shoal.shutdown()
"""

from __future__ import annotations

from shoal.dag.class_node import ClassMethodNode, ClassNode
from shoal.dag.compiled import (
    CollectiveOutputNode,
    CompiledDAG,
    CompiledDAGRef,
    DAGContext,
    DAGOperationFuture,
    GPUFuture,
    plot,
)
from shoal.dag.dag_node import DAGNode
from shoal.dag.function_node import FunctionNode
from shoal.dag.input_node import DAGInputData, InputAttributeNode, InputNode
from shoal.dag.output_node import MultiOutputNode

__all__ = [
    "ClassMethodNode",
    "ClassNode",
    "CollectiveOutputNode",
    "CompiledDAG",
    "CompiledDAGRef",
    "DAGContext",
    "DAGInputData",
    "DAGNode",
    "DAGOperationFuture",
    "FunctionNode",
    "GPUFuture",
    "InputAttributeNode",
    "InputNode",
    "MultiOutputNode",
    "plot",
]
