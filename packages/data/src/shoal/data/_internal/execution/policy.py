"""Which operator may start its next task. A pure function of how things stand, so that it can be simulated.

Rules, in this order:

1. An operator needs something to work on, a free processor (or a free slot of its actors), and must be below its own limit of tasks.
2. What is made must fit into the memory for blocks, by what the operator's blocks took so far; what lies before the consumer counts.
3. Among those that may, the one nearest to the consumer starts: it frees memory, and the consumer waits for it.
4. Where nothing runs and rule 2 lets nothing start, the one nearest to the consumer starts all the same: one block is always worked on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.data._internal.execution.stage_stats import INPUT, MEMORY, PROCESSOR


@dataclass(frozen=True, slots=True)
class OperatorView:
    """How one operator stands. Operators are numbered from the sources to the consumer.

    Args:
        waiting: inputs that could be worked on now.
        running: tasks at work.
        most_running: its own limit; None for none.
        cpus: processors that one task needs (0 for one that runs on actors).
        bytes_a_task: what one task's output takes, as far as is known.
        output_bytes: blocks that it has made and nobody has taken.
        free_slots: of its actors; None where it runs in tasks.
    """

    waiting: int
    running: int
    most_running: int | None
    cpus: float
    bytes_a_task: float
    output_bytes: int
    free_slots: int | None = None


def next_to_start(operators: Sequence[OperatorView], free_cpus: float, memory: float) -> int | None:
    """Returns the position of the operator that starts a task now; None where all have to wait.

    Args:
        operators: all of the plan, from the sources to the consumer.
        free_cpus: processors that no task of the plan uses.
        memory: bytes for blocks that are made and not taken, and for those that are being made.
    """
    used = sum(view.output_bytes + view.running * view.bytes_a_task for view in operators)
    able: int | None = None
    for position in range(len(operators) - 1, -1, -1):
        view = operators[position]
        if not _may_run(view, free_cpus):
            continue
        if used + view.bytes_a_task <= memory:
            return position
        if able is None:
            able = position
    if able is not None and not any(view.running for view in operators) and _nothing_to_take(operators):
        return able
    return None


def blocked_on(view: OperatorView, free_cpus: float) -> str | None:
    """Returns what an operator waits for that has no task at work (`INPUT`, `PROCESSOR`, `MEMORY`); None for one that has.

    To be asked when `next_to_start` has nothing more to start.
    """
    if view.running:
        return None
    if view.waiting == 0:
        return INPUT
    return MEMORY if _may_run(view, free_cpus) else PROCESSOR


def _may_run(view: OperatorView, free_cpus: float) -> bool:
    if view.waiting == 0 or (view.most_running is not None and view.running >= view.most_running):
        return False
    if view.free_slots is not None:
        return view.free_slots > 0
    return view.cpus <= free_cpus


def _nothing_to_take(operators: Sequence[OperatorView]) -> bool:
    """The consumer has had all that the last operator made: it cannot make room by itself."""
    return operators[-1].output_bytes == 0
