"""Trains models of torch in several workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shoal.train.checkpoint import Checkpoint
from shoal.train.configuration import RunConfig, ScalingConfig
from shoal.train.data_config import DataConfig
from shoal.train.data_parallel_trainer import DataParallelTrainer, of_type
from shoal.train.reporting import ValidationConfig
from shoal.train.torch.torch_config import TorchConfig


class TorchTrainer(DataParallelTrainer):
    """Runs a training loop of torch in each worker, in one process group.

    Args:
        train_loop_per_worker: takes nothing, or the configuration.
        train_loop_config: what it gets; a dict.
        torch_config: of the process group; None for gloo, or nccl with GPUs.
        scaling_config: how many workers; None for one.
        run_config: name, storage, restarts, checkpoints.
        datasets: by name; `shoal.train.get_dataset_shard` gives each worker its part.
        dataset_config: which of them are divided; None for all.
        validation_config: how checkpoints that are reported with `validation=` are validated.
        metadata: accepted for Ray's sake.
        resume_from_checkpoint: what `shoal.train.get_checkpoint` gives at first; a run of the same name goes on from its own instead.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal import train
        >>> from shoal.train.torch import TorchTrainer
        >>> def loop(config):
        ...     train.report({"loss": config["loss"]})
        >>> scaling = train.ScalingConfig(num_workers=0)
        >>> TorchTrainer(loop, train_loop_config={"loss": 0.5}, scaling_config=scaling).fit().metrics
        {'loss': 0.5}
    """

    def __init__(
        self,
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any],
        *,
        train_loop_config: Mapping[str, Any] | None = None,
        torch_config: TorchConfig | None = None,
        scaling_config: ScalingConfig | None = None,
        run_config: RunConfig | None = None,
        datasets: Mapping[str, Any] | None = None,
        dataset_config: DataConfig | None = None,
        validation_config: ValidationConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        resume_from_checkpoint: Checkpoint | None = None,
    ) -> None:
        super().__init__(
            train_loop_per_worker,
            train_loop_config=train_loop_config,
            backend_config=of_type("torch_config", torch_config, TorchConfig) or TorchConfig(),
            scaling_config=scaling_config,
            run_config=run_config,
            datasets=datasets,
            dataset_config=dataset_config,
            validation_config=validation_config,
            metadata=metadata,
            resume_from_checkpoint=resume_from_checkpoint,
        )
