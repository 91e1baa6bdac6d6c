"""Pieces that work for runners, and for learners."""

from __future__ import annotations

from typing import Any

from shoal.rllib.connectors.connector_v2 import ConnectorV2


class EitherSide(ConnectorV2):
    """A piece whose work differs: for runners, of what was observed last; for learners, of all steps that were sampled.

    Args:
        as_learner_connector: whether it works for a learner.
    """

    def __init__(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        *,
        as_learner_connector: bool = False,
        **kwargs: Any,
    ) -> None:
        self._as_learner_connector = as_learner_connector
        super().__init__(input_observation_space, input_action_space, **kwargs)
