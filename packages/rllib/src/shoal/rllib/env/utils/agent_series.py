"""What several agents saw and did, each at steps of its own, by the steps of their environment."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from shoal.rllib._internal.nested import stack
from shoal.rllib.env.utils.infinite_lookback_buffer import Indices, InfiniteLookbackBuffer

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class AgentSeries:
    """One agent's values.

    Args:
        values: in order.
        seen_at: at which step of the environment each of its observations came, those of the lookback buffer counted.
        first: to how many of these there is no value.
    """

    values: InfiniteLookbackBuffer
    seen_at: Sequence[int]
    first: int

    def place_at(self, step: int) -> int | None:
        """Returns the place of the value at a step; None where there is none."""
        position = position_at(self.seen_at, step)
        if position is None or not 0 <= position - self.first < self.values.len_incl_lookback():
            return None
        return position - self.first


def position_at(seen_at: Sequence[int], step: int) -> int | None:
    """Returns which observation came at a step; None where none did."""
    position = bisect_left(seen_at, step)
    return position if position < len(seen_at) and seen_at[position] == step else None


def steps_of(indices: Indices, start: int, end: int, neg_index_as_lookback: bool) -> int | list[int]:
    """Returns which steps of the environment indices stand for.

    Args:
        indices: one, a slice, or a list; None for all steps of a chunk.
        start: the chunk's first step.
        end: the step after its last.
        neg_index_as_lookback: -1 is the step before the first, rather than the last.
    """

    def step(index: int) -> int:
        return start + index if index >= 0 or neg_index_as_lookback else end + index

    if indices is None:
        return list(range(start, end))
    if isinstance(indices, slice):
        low = start if indices.start is None else step(indices.start)
        high = end if indices.stop is None else step(indices.stop)
        return list(range(low, high, indices.step or 1))
    if isinstance(indices, int):
        return step(indices)
    return [step(int(index)) for index in indices]


def agents_among(known: Iterable[A], wanted: Any) -> list[A]:
    """Returns those agents that are wanted: one, several, or, with None, all."""
    if wanted is None:
        return list(known)
    several = wanted if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
    return [agent for agent in known if agent in several]


def values_at(
    series: Mapping[A, AgentSeries], steps: Collection[int], fill: float | None, one_hot_discrete: bool
) -> list[dict[A, Any]]:
    """Returns, for each step, the values of those agents that have one there; of all agents where `fill` stands for what is missing."""
    found: list[dict[A, Any]] = []
    for step in steps:
        at: dict[A, Any] = {}
        for agent, own in series.items():
            place = own.place_at(step)
            if place is not None:
                at[agent] = own.values._item(place, None, one_hot_discrete)
            elif fill is not None:
                at[agent] = own.values._item(-1, fill, one_hot_discrete)
        found.append(at)
    return found


def by_agent(found: Iterable[Mapping[A, Any]], series: Mapping[A, AgentSeries]) -> dict[A, Any]:
    """Returns values at steps as a series for each agent: arrays of arrays, and lists of lists."""
    gathered: dict[A, list[Any]] = {}
    for at in found:
        for agent, value in at.items():
            gathered.setdefault(agent, []).append(value)
    return {agent: stack(values) if series[agent].values.finalized else values for agent, values in gathered.items()}
