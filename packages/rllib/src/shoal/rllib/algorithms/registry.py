"""The algorithms by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from shoal.rllib.utils.error import ConfigError, NotThereYetError, close_matches

MODULES = {
    "APPO": "appo",
    "BC": "bc",
    "CQL": "cql",
    "DQN": "dqn",
    "IMPALA": "impala",
    "IQL": "iql",
    "MARWIL": "marwil",
    "PPO": "ppo",
    "SAC": "sac",
}
"""By name, where an algorithm is: the package below `shoal.rllib.algorithms`."""


def _finder(name: str) -> Callable[[], tuple[type[Any], Any]]:
    def find() -> tuple[type[Any], Any]:
        module = importlib.import_module(f"shoal.rllib.algorithms.{MODULES[name]}")
        algorithm: type[Any] = getattr(module, name)
        return algorithm, algorithm.get_default_config()

    return find


ALGORITHMS: dict[str, Callable[[], tuple[type[Any], Any]]] = {name: _finder(name) for name in MODULES}
"""By name, a function that returns the class and its default configuration."""


def get_algorithm_class(alg: str, return_config: bool = False) -> Any:
    """Returns an algorithm by its name.

    Args:
        alg: such as "PPO".
        return_config: whether its default configuration comes, too.

    Raises:
        ConfigError: (a ValueError) there is none of that name; a NotThereYetError for DreamerV3, which waits.

    Example:
        >>> from shoal.rllib.algorithms.registry import get_algorithm_class
        >>> get_algorithm_class("PPO").__name__
        'PPO'
    """
    if alg == "DreamerV3":
        from shoal.rllib.algorithms.dreamerv3 import WAITS

        raise NotThereYetError(WAITS)
    if alg not in ALGORITHMS:
        raise ConfigError(
            f"there is no algorithm {alg!r}.{close_matches(alg, ALGORITHMS)} There are: {', '.join(ALGORITHMS)}"
        )
    cls, config = ALGORITHMS[alg]()
    return (cls, config) if return_config else cls
