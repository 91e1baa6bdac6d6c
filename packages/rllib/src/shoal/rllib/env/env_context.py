"""What an environment is made of: its configuration, and which copy of it this is."""

from __future__ import annotations

import copy
from typing import Any


class EnvContext(dict[Any, Any]):
    """The configuration of one environment, and which of all copies it is. A dictionary.

    Args:
        env_config: what was given as `config.environment(env_config=...)`.
        worker_index: 0 for an environment of the driver, else the index of its runner, from 1.
        vector_index: the index among the environments of its runner, from 0.
        remote: accepted for RLlib's sake.
        num_workers: how many remote runners there are.
        recreated_worker: whether the runner replaces one that failed.

    Example:
        >>> context = EnvContext({"size": 5}, worker_index=2)
        >>> context["size"], context.worker_index
        (5, 2)
    """

    def __init__(
        self,
        env_config: dict[Any, Any] | None = None,
        worker_index: int = 0,
        vector_index: int = 0,
        remote: bool = False,
        num_workers: int | None = None,
        recreated_worker: bool = False,
    ) -> None:
        super().__init__(env_config or {})
        self.worker_index = worker_index
        self.vector_index = vector_index
        self.remote = remote
        self.num_workers = num_workers
        self.recreated_worker = recreated_worker

    def copy_with_overrides(
        self,
        env_config: dict[Any, Any] | None = None,
        worker_index: int | None = None,
        vector_index: int | None = None,
        remote: bool | None = None,
        num_workers: int | None = None,
        recreated_worker: bool | None = None,
    ) -> EnvContext:
        """Returns a copy in which what is given replaces what is here."""
        return EnvContext(
            copy.deepcopy(dict(self) if env_config is None else env_config),
            self.worker_index if worker_index is None else worker_index,
            self.vector_index if vector_index is None else vector_index,
            self.remote if remote is None else remote,
            self.num_workers if num_workers is None else num_workers,
            self.recreated_worker if recreated_worker is None else recreated_worker,
        )

    def set_defaults(self, defaults: dict[Any, Any]) -> None:
        """Adds what is missing."""
        for key, value in defaults.items():
            self.setdefault(key, value)

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self.worker_index, self.vector_index, self.remote, self.num_workers, self.recreated_worker)
        return EnvContext, (dict(self), *arguments)

    def __str__(self) -> str:
        return f"EnvContext({dict(self)}, worker_index={self.worker_index}, vector_index={self.vector_index})"
