"""What a user's own object is told of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.train.checkpoint import Checkpoint
from shoal.train.configuration import RunConfig, ScalingConfig


@dataclass(frozen=True)
class RunContext:
    """Which run a callback is told of.

    Args:
        name: of the run.
        path: of its folder, in the terms of its file system.
        run_config: of the trainer.
        scaling_config: of the trainer.
        train_loop_config: of the trainer; empty where it has none.
    """

    name: str
    path: str
    run_config: RunConfig = field(default_factory=RunConfig)
    scaling_config: ScalingConfig = field(default_factory=ScalingConfig)
    train_loop_config: Mapping[str, Any] = field(default_factory=dict)

    def get_run_config(self) -> RunConfig:
        """Returns the run's configuration."""
        return self.run_config


class UserCallback:
    """Is told of a run, in the driver, as it goes: derive from it, define what you need, and give it to `RunConfig(callbacks=[...])`.

    Each method returns quickly: reports of the workers wait for it. What it raises ends the run.

    Example:
        >>> from shoal.train import RunConfig, UserCallback
        >>> class Print(UserCallback):
        ...     def after_report(self, run_context, metrics, checkpoint):
        ...         print(metrics[0])
        >>> config = RunConfig(callbacks=[Print()])
    """

    def after_report(
        self, run_context: RunContext, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None
    ) -> None:
        """All ranks have made a report.

        Args:
            run_context: which run.
            metrics: of each rank, by rank.
            checkpoint: the whole one that came with it; None where there was none.
        """

    def after_exception(self, run_context: RunContext, worker_exceptions: dict[int, BaseException]) -> None:
        """Ranks failed.

        Args:
            run_context: which run.
            worker_exceptions: what they raised, by rank.
        """
