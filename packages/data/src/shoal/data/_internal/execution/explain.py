"""Plans as text."""

from __future__ import annotations

from shoal.data._internal.execution.physical import Node, physical_plan
from shoal.data._internal.plan.operators import Operator


def explained(plan: Operator, better: Operator, here: bool) -> str:
    """Returns the plan as written, as optimised, and its stages.

    Args:
        plan: as the user wrote it.
        better: optimised.
        here: it runs in the driver, without stages.
    """
    parts = ["Logical plan", *_tree(plan, 1), "", "Optimized plan", *_tree(better, 1), "", "Physical plan"]
    parts += ["  in the driver, without tasks"] if here else _stages(physical_plan(better, 1, 1), 1)
    return "\n".join(parts)


def _tree(plan: Operator, depth: int) -> list[str]:
    details = f" [{plan.details}]" if plan.details else ""
    lines = [f"{'  ' * depth}{plan.name}{details}"]
    for child in plan.inputs:
        lines += _tree(child, depth + 1)
    return lines


def _stages(node: Node, depth: int) -> list[str]:
    compute = node.compute
    if compute.actors:
        most = compute.max_size if compute.max_size is not None else "any number of"
        how = f" on {compute.min_size} to {most} actors"
    else:
        how = f" in at most {compute.max_size} tasks" if compute.max_size is not None else ""
    lines = [f"{'  ' * depth}{node.name}{how}"]
    for child in node.inputs:
        lines += _stages(child, depth + 1)
    return lines
