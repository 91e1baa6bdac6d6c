"""Steps of many episodes in columns that go round: the newest take the places of the oldest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.rllib._internal.numerics.n_step import n_step_transitions
from shoal.rllib._internal.structures import leaves, map_structure, unflatten_as
from shoal.rllib.core.columns import Columns
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode

Indices = NDArray[np.int64]

_EMPTY, _NO_STEP_YET = -2, -1


class StepStore:
    """A place for each observation, with the step that was made from it, and the place that the step led to.

    Chunks of an episode are joined wherever they lie, so that episodes of many environments may come in turns, a step at a time. Places are
    taken one after the other and never move: what a place leads to is always newer than it, and is overwritten after it.

    Args:
        capacity: how many places there are, >= 2.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.steps = 0  # stored
        self.episodes = 0  # that parts of are stored
        self.steps_added = 0
        self.episodes_added = 0
        self._taken = 0  # places ever
        self._columns: dict[str, list[NDArray[Any]]] = {}  # leaves of each
        self._structures: dict[str, Any] = {}
        self._leads_to = np.full(capacity, _EMPTY, np.int64)
        self._comes_from = np.full(capacity, _EMPTY, np.int64)
        self._open: dict[
            str, tuple[int, int]
        ] = {}  # by episode: which of the places ever taken is its last, and its time step

    @property
    def oldest(self) -> int:
        """The number, among all places ever taken, of the oldest that still is."""
        return max(0, self._taken - self.capacity)

    @property
    def taken(self) -> int:
        return self._taken

    def has_step(self, places: Indices) -> NDArray[np.bool_]:
        return self._leads_to[places] >= 0

    def add(self, episode: SingleAgentEpisode) -> tuple[Indices, Indices]:
        """Stores a chunk.

        Returns:
            The places of its steps, and those that hold no step any more, nor yet.
        """
        length = len(episode)
        nothing = np.empty(0, np.int64)
        if length == 0:
            return nothing, nothing
        kept = min(length, self.capacity - 1)
        last, last_t = self._open.pop(episode.id_, (-1, -1))
        goes_on = last >= 0 and last_t == episode.t_started and self._taken + length - last <= self.capacity
        new = kept if goes_on else kept + 1
        numbers = np.arange(self._taken, self._taken + new)
        if goes_on:
            numbers = np.concatenate([[last], numbers])
        places = numbers % self.capacity
        taken_over = places[-new:]
        before = self._leads_to[taken_over]
        self.steps += kept - int((before >= 0).sum())
        self.episodes += (0 if goes_on else 1) - int((before == _NO_STEP_YET).sum())
        self.steps_added += length
        self.episodes_added += 0 if goes_on else 1
        self._taken += new

        first = length - kept
        from_, end = places[:-1], places[-1:]
        observations = _as_arrays(episode.get_observations())
        self._write(Columns.OBS, observations, slice(first + (1 if goes_on else 0), None), taken_over)
        self._write(Columns.ACTIONS, _as_arrays(episode.get_actions()), slice(first, None), from_)
        self._write(Columns.REWARDS, np.asarray(episode.get_rewards(), np.float32), slice(first, None), from_)
        ends = np.zeros(length, np.bool_)
        ends[-1] = episode.is_terminated
        self._write(Columns.TERMINATEDS, ends, slice(first, None), from_)
        ends = np.zeros(length, np.bool_)
        ends[-1] = episode.is_truncated
        self._write(Columns.TRUNCATEDS, ends, slice(first, None), from_)
        self._write(Columns.T, np.arange(episode.t_started, episode.t), slice(first, None), from_)
        for key in episode.extra_model_outputs:
            outputs = _as_arrays(episode.get_extra_model_outputs(key))
            self._write(key, outputs, slice(first, None), from_)
        infos = episode.get_infos()
        if Columns.INFOS in self._columns or any(infos):
            self._write(Columns.INFOS, _as_objects(infos), slice(first + (1 if goes_on else 0), None), taken_over)

        if not goes_on:
            self._comes_from[places[0]] = _EMPTY
        self._comes_from[places[1:]] = from_
        self._leads_to[from_] = places[1:]
        self._leads_to[end] = _NO_STEP_YET
        if not episode.is_done:
            if len(self._open) > self.capacity:
                self._open = {id_: tail for id_, tail in self._open.items() if tail[0] >= self.oldest}
            self._open[episode.id_] = (int(numbers[-1]), episode.t)
        return from_, end

    def uniform(self, count: int, chance: np.random.Generator) -> Indices:
        """Places of steps, each as likely as any other, with repetitions."""
        places = chance.integers(self.oldest, self._taken, count) % self.capacity
        while True:
            wrong = np.flatnonzero(self._leads_to[places] < 0)
            if not len(wrong):
                return places
            places[wrong] = chance.integers(self.oldest, self._taken, len(wrong)) % self.capacity

    def transitions(
        self,
        places: Indices,
        n: int | Indices,
        gamma: float,
        *,
        include_infos: bool = False,
        include_extra_model_outputs: bool = False,
    ) -> dict[str, Any]:
        """The transitions over up to n steps from these places, in columns; how many steps each has is in 'n_step'."""
        found = n_step_transitions(self._columns[Columns.REWARDS][0], self._leads_to, places, n, gamma)
        batch = {
            Columns.OBS: self.read(Columns.OBS, places),
            Columns.ACTIONS: self.read(Columns.ACTIONS, places),
            Columns.REWARDS: found.returns,
            Columns.NEXT_OBS: self.read(Columns.OBS, found.after),
            Columns.TERMINATEDS: self.read(Columns.TERMINATEDS, found.last),
            Columns.TRUNCATEDS: self.read(Columns.TRUNCATEDS, found.last),
            "n_step": found.steps.astype(np.float32),
        }
        if include_infos and Columns.INFOS in self._columns:
            batch[Columns.INFOS] = self.read(Columns.INFOS, found.after)
        if include_extra_model_outputs:
            batch.update({key: self.read(key, places) for key in self.extra_keys})
        return batch

    def earlier(self, places: Indices, count: int) -> list[dict[str, Any]]:
        """What came before these places, as far as it is stored: up to `count` steps, the nearest first.

        Each has 'there', whether there is such a step, and 'obs', 'actions', 'rewards', and what modules gave besides, of it.
        """
        found = []
        for _ in range(count):
            places = np.where(places >= 0, self.before(np.maximum(places, 0)), _EMPTY)
            there = places >= 0
            keys = (Columns.OBS, Columns.ACTIONS, Columns.REWARDS, *self.extra_keys)
            found.append({"there": there, **{key: self.read(key, np.maximum(places, 0)) for key in keys}})
        return found

    @property
    def extra_keys(self) -> list[str]:
        """What modules gave besides actions."""
        return [key for key in self._columns if key not in _OWN_COLUMNS]

    def read(self, key: str, places: Indices) -> Any:
        """A column's values at these places."""
        columns = self._columns[key]
        structure = self._structures[key]
        if structure is None:
            return columns[0][places]
        return unflatten_as(structure, [column[places] for column in columns])

    def walk(self, places: Indices, steps: int) -> Indices:
        """The places that `steps` steps lead through, shape (B, steps + 1); where an episode has no more, its last place again."""
        way = np.empty((len(places), steps + 1), np.int64)
        way[:, 0] = places
        for step in range(steps):
            ahead = self._leads_to[way[:, step]]
            way[:, step + 1] = np.where(ahead >= 0, ahead, way[:, step])
        return way

    def before(self, places: Indices) -> Indices:
        """The places that lead to these; negative where none is stored."""
        origins = self._comes_from[places]
        # Where the place before was taken by another step, that leads elsewhere.
        return np.where((origins >= 0) & (self._leads_to[origins] == places), origins, _EMPTY)

    def starts(self, places: Indices) -> Indices:
        """The oldest place that is stored of the episode of each."""
        while True:
            origins = self.before(places)
            if (origins < 0).all():
                return places
            places = np.where(origins >= 0, origins, places)

    def last_acted(self, places: Indices) -> Indices:
        """The places themselves, or those before them where no step was made from them."""
        return np.where(self.has_step(places), places, np.maximum(self.before(places), 0))

    def get_state(self) -> dict[str, Any]:
        """All that is stored, in order of age."""
        places = np.arange(self.oldest, self._taken) % self.capacity
        leads_to = self._leads_to[places]
        ahead = (leads_to - places) % self.capacity
        return {
            "capacity": self.capacity,
            "columns": {key: [column[places] for column in columns] for key, columns in self._columns.items()},
            "structures": self._structures,
            "ahead": np.where(leads_to >= 0, ahead, leads_to),
            "taken": self._taken,
            "open": dict(self._open),
            "counts": (self.steps, self.episodes, self.steps_added, self.episodes_added),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up what `get_state` of a store with the same capacity gave.

        Raises:
            ValueError: the capacity was another.
        """
        if state["capacity"] != self.capacity:
            raise ValueError(
                f"the state is that of a buffer with capacity={state['capacity']}, and this one has {self.capacity}; "
                "make it with the same"
            )
        self._taken = state["taken"]
        self._structures = dict(state["structures"])
        places = np.arange(self.oldest, self._taken) % self.capacity
        self._columns = {}
        for key, columns in state["columns"].items():
            self._columns[key] = [np.empty((self.capacity, *column.shape[1:]), column.dtype) for column in columns]
            for mine, column in zip(self._columns[key], columns, strict=True):
                mine[places] = column
        self._leads_to = np.full(self.capacity, _EMPTY, np.int64)
        ahead = state["ahead"]
        self._leads_to[places] = np.where(ahead >= 0, (places + ahead) % self.capacity, ahead)
        self._comes_from = np.full(self.capacity, _EMPTY, np.int64)
        acted = places[ahead >= 0]
        self._comes_from[self._leads_to[acted]] = acted
        self._open = dict(state["open"])
        self.steps, self.episodes, self.steps_added, self.episodes_added = state["counts"]

    def _write(self, key: str, values: Any, which: slice, places: Indices) -> None:
        flat = leaves(values) if isinstance(values, dict | tuple) else [values]
        columns = self._columns.get(key)
        if columns is None:
            self._structures[key] = map_structure(lambda _: 0, values) if isinstance(values, dict | tuple) else None
            columns = self._columns[key] = [np.empty((self.capacity, *leaf.shape[1:]), leaf.dtype) for leaf in flat]
        for column, leaf in zip(columns, flat, strict=True):
            if leaf.shape[1:] != column.shape[1:]:
                raise ValueError(
                    f"{key} have the shape {leaf.shape[1:]}, and those stored before {column.shape[1:]}; a buffer holds one shape only"
                )
            column[places] = leaf[which]


_OWN_COLUMNS = (
    Columns.OBS,
    Columns.ACTIONS,
    Columns.REWARDS,
    Columns.TERMINATEDS,
    Columns.TRUNCATEDS,
    Columns.T,
    Columns.INFOS,
)


def _as_arrays(values: Any) -> Any:
    if not isinstance(values, list):
        return values
    if isinstance(values[0], dict | tuple):
        return map_structure(lambda *leaves_: np.asarray(leaves_), *values)
    return np.asarray(values)


def _as_objects(values: list[Any]) -> NDArray[Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array
