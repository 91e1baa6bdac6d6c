"""A learner in a process of its own, one of several whose gradients are averaged."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


class LearnerActor:
    """Runs a learner.

    Args:
        learner_class: of the learner.
        arguments: for it.
        rank: its number.
        world_size: how many there are.
        meeting_point: a file that all can reach, where they find one another.
    """

    def __init__(
        self, learner_class: type[Any], arguments: dict[str, Any], rank: int, world_size: int, meeting_point: str | None
    ) -> None:
        os.environ.update(arguments["config"].extra_python_environs_for_worker)
        self._grouped = world_size > 1
        if self._grouped:
            import torch.distributed as dist

            on_devices = arguments["config"].num_gpus_per_learner > 0
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nothing listens on other interfaces
            dist.init_process_group(
                "nccl" if on_devices else "gloo",
                init_method=f"file://{meeting_point}",
                rank=rank,
                world_size=world_size,
            )
        self._learner = learner_class(**arguments)
        self._learner.rank, self._learner.distributed = rank, self._grouped
        self._learner.build()

    def ready(self) -> bool:
        """Returns once it is built."""
        return True

    def update(self, training_data: dict[str, Any], arguments: dict[str, Any], wanted_state: Any = None) -> Any:
        """Learns. Returns what was logged; with `wanted_state` also the modules' weights."""
        results = self._learner.update(**training_data, **arguments)
        if wanted_state is None:
            return results
        return results, self._learner.module.get_state(**wanted_state)

    def update_from_references(self, references: list[Any], arguments: dict[str, Any], wanted_state: Any = None) -> Any:
        """The same, of references to lists of episodes."""
        import shoal

        episodes = [episode for some in shoal.get(references) for episode in some]
        return self.update({"episodes": episodes}, arguments, wanted_state)

    def call(
        self, function: str | Callable[..., Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Returns what a method returns, by its name, or a function of the learner."""
        if callable(function):
            return function(self._learner, *args, **(kwargs or {}))
        return getattr(self._learner, function)(*args, **(kwargs or {}))

    def close(self) -> None:
        """Leaves the others."""
        if self._grouped:
            import torch.distributed as dist

            dist.destroy_process_group()
