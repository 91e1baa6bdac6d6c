"""Finding nodes in arguments, also inside of lists, tuples, sets and dicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def replace_nodes(value: Any, replace: Callable[[Any], Any]) -> Any:
    """Returns a value with `replace(node)` in place of every node in it; the value itself where it has none."""
    from shoal.dag.dag_node import DAGNode

    if isinstance(value, DAGNode):
        return replace(value)
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        items = [replace_nodes(item, replace) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else kind(items)
    if kind is dict:
        pairs = [(key, replace_nodes(item, replace)) for key, item in value.items()]
        same = all(new is value[key] for key, new in pairs)
        return value if same else dict(pairs)
    return value
