"""Pieces in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym

from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.utils.error import ConfigError


class ConnectorPipelineV2(ConnectorV2):
    """Calls pieces one after the other.

    Args:
        input_observation_space: what comes in.
        input_action_space: what comes in.
        connectors: the pieces (or functions that have their signature).
    """

    def __init__(
        self,
        input_observation_space: gym.Space[Any] | None = None,
        input_action_space: gym.Space[Any] | None = None,
        *,
        connectors: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.connectors: list[Any] = list(connectors or [])
        super().__init__(input_observation_space, input_action_space, **kwargs)

    def __call__(
        self,
        *,
        rl_module: Any,
        batch: dict[str, Any] | None = None,
        episodes: Sequence[Any],
        explore: bool | None = None,
        shared_data: dict[str, Any] | None = None,
        metrics: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        arguments = {"rl_module": rl_module, "episodes": episodes, "explore": explore, "metrics": metrics, **kwargs}
        arguments["shared_data"] = {} if shared_data is None else shared_data
        return through_pieces(self.connectors, {} if batch is None else batch, **arguments)

    def _set_spaces(self, observations: gym.Space[Any] | None, actions: gym.Space[Any] | None) -> None:
        self._input_observation_space, self._input_action_space = observations, actions
        for connector in self.connectors:
            if isinstance(connector, ConnectorV2):
                connector._set_spaces(observations, actions)
                observations = observations if connector.observation_space is None else connector.observation_space
                actions = actions if connector.action_space is None else connector.action_space
        self._observation_space, self._action_space = observations, actions
        self.lookback = max((getattr(connector, "lookback", 0) for connector in self.connectors), default=0)

    def _renew_spaces(self) -> None:
        self._set_spaces(self._input_observation_space, self._input_action_space)

    # Which pieces.

    def append(self, connector: Any) -> None:
        """Adds a piece at the end."""
        self.connectors.append(connector)
        self._renew_spaces()

    def prepend(self, connector: Any) -> None:
        """Adds a piece at the start."""
        self.connectors.insert(0, connector)
        self._renew_spaces()

    def insert_before(self, name_or_class: str | type[Any], connector: Any) -> ConnectorV2:
        """Adds a piece before another one, given by its class or its class's name. Returns the piece. Raises ValueError: there is none."""
        self.connectors.insert(self._place(name_or_class), connector)
        self._renew_spaces()
        found: ConnectorV2 = connector
        return found

    def insert_after(self, name_or_class: str | type[Any], connector: Any) -> ConnectorV2:
        """Adds a piece after another one. See insert_before()."""
        self.connectors.insert(self._place(name_or_class) + 1, connector)
        self._renew_spaces()
        found: ConnectorV2 = connector
        return found

    def remove(self, name_or_class: str | type[Any]) -> ConnectorV2 | None:
        """Takes a piece out and returns it; None if there is none."""
        try:
            place = self._place(name_or_class)
        except ValueError:
            return None
        removed: ConnectorV2 = self.connectors.pop(place)
        self._renew_spaces()
        return removed

    def __len__(self) -> int:
        return len(self.connectors)

    def __getitem__(self, key: int | type[Any]) -> Any:
        """Returns the piece at a place, or the pieces of a class."""
        if isinstance(key, int):
            return self.connectors[key]
        return [connector for connector in self.connectors if isinstance(connector, key)]

    def _place(self, name_or_class: str | type[Any]) -> int:
        for i, connector in enumerate(self.connectors):
            if isinstance(name_or_class, str):
                if type(connector).__name__ == name_or_class:
                    return i
            elif type(connector) is name_or_class:
                return i
        there = [type(connector).__name__ for connector in self.connectors]
        raise ValueError(f"there is no {name_or_class!r} in the pipeline; it has {there}")

    # State.

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Returns the pieces' states by their names; pieces without any are left out."""
        states = {}
        for name, connector in self._named():
            state = connector.get_state(**kwargs) if isinstance(connector, ConnectorV2) else {}
            if state:
                states[name] = state
        return states

    def set_state(self, state: dict[str, Any]) -> None:
        for name, connector in self._named():
            if name in state:
                connector.set_state(state[name])

    def reset_state(self) -> None:
        for connector in self.connectors:
            if isinstance(connector, ConnectorV2):
                connector.reset_state()

    def merge_states(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        merged = {}
        for name, connector in self._named():
            own = [state[name] for state in states if name in state]
            if own and isinstance(connector, ConnectorV2):
                merged[name] = connector.merge_states(own)
        return merged

    def _named(self) -> list[tuple[str, Any]]:
        counts: dict[str, int] = {}
        named = []
        for connector in self.connectors:
            name = type(connector).__name__
            counts[name] = counts.get(name, 0) + 1
            named.append((f"{counts[name] - 1:03d}_{name}", connector))
        return named

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.connectors})"


def through_pieces(pieces: Sequence[Any], batch: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """Calls pieces one after the other; returns the batch after the last."""
    for piece in pieces:
        batch = piece(batch=batch, **arguments)
        if not isinstance(batch, dict):
            raise TypeError(f"{piece!r} returned {batch!r}; a connector returns the batch, a dictionary")
    return batch


def as_pieces(given: Any) -> list[Any]:
    """Returns what a user's function gave (a piece, a list of them, a pipeline, or None) as a list."""
    if given is None:
        return []
    pieces = list(given) if isinstance(given, list | tuple) else [given]
    for piece in pieces:
        if not callable(piece) or isinstance(piece, type):
            raise ConfigError(
                f"a connector function returned {piece!r}; return a piece (a ConnectorV2), a list of them, or None"
            )
    return pieces
