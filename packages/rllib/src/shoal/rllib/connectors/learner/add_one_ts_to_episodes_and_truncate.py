"""RLlib's way to have a value after the last step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.rllib.connectors.connector_v2 import ConnectorV2


class AddOneTsToEpisodesAndTruncate(ConnectorV2):
    """Changes nothing. In RLlib it adds a step to each episode, so that there is a value after the last; a learner here has it anyway."""

    def __call__(
        self, *, rl_module: Any, batch: dict[str, Any], episodes: Sequence[Any], **kwargs: Any
    ) -> dict[str, Any]:
        return batch
