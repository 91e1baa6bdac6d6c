"""DreamerV3 waits; whoever asks for it is told so. Hafner et al., "Mastering Diverse Domains through World Models", 2023 (2301.04104)."""

from __future__ import annotations

from typing import Any

from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.utils.error import NotThereYetError

WAITS = (
    "DreamerV3 is not there yet: learning by a world model waits. From few steps of the environment SAC (continuous or discrete "
    "actions) and DQN with n_step=3 and training_intensity learn most; for images, PPO"
)


class DreamerV3Config(AlgorithmConfig):
    """Is not there yet.

    Raises:
        NotThereYetError: (a ConfigError, and a NotImplementedError) always.
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        raise NotThereYetError(WAITS)


class DreamerV3(Algorithm):
    """Is not there yet. See `DreamerV3Config`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotThereYetError(WAITS)

    @classmethod
    def get_default_config(cls) -> AlgorithmConfig:
        return DreamerV3Config()
