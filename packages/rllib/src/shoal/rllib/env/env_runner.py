"""What samples episodes."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig


class EnvRunner(abc.ABC):
    """Steps environments with a module, in this process or as an actor. The base of all runners, users' own ones among them.

    A runner of one's own has `sample`, `get_spaces`, `get_metrics`, `assert_healthy` and `stop`, and is given as
    `config.env_runners(env_runner_cls=MyRunner)`.

    Args:
        config: of the algorithm.
        worker_index: 0 in the driver, else from 1.
        num_workers: how many remote runners there are.
    """

    def __init__(self, *, config: AlgorithmConfig, worker_index: int = 0, num_workers: int = 0, **kwargs: Any) -> None:
        self.config = config
        self.worker_index = worker_index
        self.num_workers = num_workers
        self.env: Any = None
        self.module: Any = None
        self.weights_version = -1

    @abc.abstractmethod
    def sample(self, **kwargs: Any) -> Any:
        """Returns episodes."""

    @abc.abstractmethod
    def get_spaces(self) -> dict[str, Any]:
        """Returns pairs of observation and action spaces: of the environments ("__env__", "__env_single__") and of each module."""

    @abc.abstractmethod
    def get_metrics(self) -> Any:
        """Returns what was logged since the last call, for the `aggregate` of another logger."""

    @abc.abstractmethod
    def assert_healthy(self) -> None:
        """Raises if the runner cannot go on."""

    def make_env(self) -> None:
        """Makes (or makes anew) the environments."""
        raise NotImplementedError(f"{type(self).__name__} has no make_env()")

    def make_module(self) -> None:
        """Makes (or makes anew) the module."""
        raise NotImplementedError(f"{type(self).__name__} has no make_module()")

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Returns what set_state() of another runner takes."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes over another runner's state."""
        if state:
            raise NotImplementedError(f"{type(self).__name__} has no set_state()")

    def set_weights(self, weights: dict[str, Any], version: int | None = None) -> None:
        """Takes over a module's weights."""
        raise NotImplementedError(f"{type(self).__name__} has no set_weights()")

    def ping(self) -> str:
        """Returns "pong"."""
        return "pong"

    def apply(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Returns what a function returns of this runner."""
        return func(self, *args, **kwargs)

    def stop(self) -> None:
        """Closes the environments."""
        if self.env is not None:
            self.env.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(worker_index={self.worker_index})"
