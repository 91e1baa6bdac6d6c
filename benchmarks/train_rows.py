"""The rows about training: titles, which program measures them, and what shoal's figure is held against."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

CHANCE = 0.01
"""Two sets of figures are told apart where chance alone would part them as far more rarely than this."""


@dataclass(frozen=True)
class Row:
    """One line of the table; less is better in all of them.

    Args:
        name: stable key, for `--only` and the JSON file.
        title: what is measured.
        unit: of the figures.
        program: of train_program.py, which measures it.
        goals: by peer, how many times its figure shoal's may be.
        limit: that shoal's figure may be in any case, in the row's unit.
        same_as: the peer from whose figures shoal's may not be told apart, unless they are better.
    """

    name: str
    title: str
    unit: str
    program: str
    goals: Mapping[str, float] = field(default_factory=dict)
    limit: float | None = None
    same_as: str | None = None

    def goal(self, figures: Mapping[str, Sequence[float]]) -> float | None:
        """The bound by what was measured; None where there is none, or its peer was not measured."""
        bounds = [factor * statistics.median(figures[peer]) for peer, factor in self.goals.items() if figures.get(peer)]
        bounds += [self.limit] if self.limit is not None else []
        return min(bounds, default=None)

    def is_met(self, figures: Mapping[str, Sequence[float]]) -> bool | None:
        """Whether shoal reaches the goal; None where that is not known."""
        ours = figures.get("shoal")
        if not ours:
            return None
        if self.same_as is not None:
            theirs = figures.get(self.same_as)
            return None if not theirs else is_same_or_less(ours, theirs)
        goal = self.goal(figures)
        return None if goal is None else statistics.median(ours) <= goal


ROWS = (
    Row("whole", "a program from start to end: fit() of a toy model on 2 gloo workers", "s", "once"),
    Row("cold", "fit() alone, the first of a session (torchrun: from start to end)", "s", "once", {"torchrun": 1.0}),
    Row("warm", "fit() again in the same session", "s", "again", limit=2.0),
    Row("step", "a training step of 2 ranks, median of a run", "ms", "step", same_as="torchrun"),
    Row("report", "report() without a checkpoint", "ms", "report", limit=0.2),
    Row("stall", "steps beside an asynchronous upload of 64 MiB", "% longer", "stall", limit=2.0),
    Row("recovery", "from SIGKILL of a rank to the next step", "s", "recovery", limit=3.0),
)


def is_same_or_less(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether nothing says that ours are greater: their ranks among all are not higher than chance explains (Mann and Whitney's test)."""
    count, other = len(ours), len(theirs)
    above = sum((a > b) + (a == b) / 2 for a in ours for b in theirs)
    spread = math.sqrt(count * other * (count + other + 1) / 12)
    deviation = (above - count * other / 2) / spread
    return 0.5 * math.erfc(deviation / math.sqrt(2)) >= CHANCE
