"""Env runners as a part of an algorithm's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.rllib.utils.checkpoints import Checkpointable, Components


class RunnersCheckpoint(Checkpointable):
    """Gives and takes the state of a group of runners.

    Args:
        group: it.
    """

    STATE_FILE_NAME = "env_runner_state"

    def __init__(self, group: Any) -> None:
        self._group = group

    def get_state(
        self, components: Components = None, *, not_components: Components = None, **kwargs: Any
    ) -> dict[str, Any]:
        state: dict[str, Any] = self._group.get_state()
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        self._group.set_state(dict(state))

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (), {}
