"""What a training loop of torch calls so that it runs the same in one process and in many."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shoal.train._internal.process.worker_session import SESSION
from shoal.train.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    import torch
    from torch.utils.data import DataLoader


def get_device() -> torch.device:
    """Returns the device of this worker: its GPU, else the CPU. Raises RuntimeError outside of a training loop."""
    return get_devices()[0]


def get_devices() -> list[torch.device]:
    """Returns all devices of this worker. Raises RuntimeError outside of a training loop."""
    import torch

    rank = SESSION.running("torch.get_devices").rank
    if not torch.cuda.is_available():
        return [torch.device("cpu")]
    return [torch.device("cuda", rank.local_rank % torch.cuda.device_count())]


def prepare_model(
    model: torch.nn.Module,
    move_to_device: bool | torch.device = True,
    parallel_strategy: str | None = "ddp",
    parallel_strategy_kwargs: Mapping[str, Any] | None = None,
) -> torch.nn.Module:
    """Moves a model to this worker's device, and wraps it for training with the other ranks, where there are others.

    Args:
        model: the same in all ranks.
        move_to_device: whether to; or where to.
        parallel_strategy: 'ddp' (DistributedDataParallel), 'fsdp' (FullyShardedDataParallel), or None.
        parallel_strategy_kwargs: for that wrapper.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such strategy.
        RuntimeError: outside of a training loop.
    """
    import torch

    rank = SESSION.running("torch.prepare_model").rank
    if parallel_strategy not in ("ddp", "fsdp", None):
        raise InvalidArgumentError(f"parallel_strategy is {parallel_strategy!r}; give 'ddp', 'fsdp' or None")
    device = move_to_device if isinstance(move_to_device, torch.device) else get_device()
    if move_to_device is not False:
        model = model.to(device)
    if parallel_strategy is None or rank.world_size == 1:
        return model
    options = dict(parallel_strategy_kwargs or {})
    if parallel_strategy == "fsdp":
        from torch.distributed.fsdp import FullyShardedDataParallel

        return FullyShardedDataParallel(model, **options)
    if device.type == "cuda":
        options = {"device_ids": [device], "output_device": device} | options
    return torch.nn.parallel.DistributedDataParallel(model, **options)


def prepare_data_loader(
    data_loader: DataLoader[Any], add_dist_sampler: bool = True, move_to_device: bool = True, auto_transfer: bool = True
) -> DataLoader[Any]:
    """Returns a loader whose batches are this rank's part of the data, on its device. The batch size stays that of one worker.

    Args:
        data_loader: the same in all ranks; shuffled or not, as its sampler was. Call `loader.sampler.set_epoch(epoch)` in each epoch.
        add_dist_sampler: divide the data among the ranks.
        move_to_device: move batches to the device, where that is a GPU.
        auto_transfer: accepted for Ray's sake.
    """
    from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, RandomSampler

    rank = SESSION.running("torch.prepare_data_loader").rank
    already = isinstance(data_loader.sampler, DistributedSampler)
    if (
        rank.world_size > 1
        and add_dist_sampler
        and not already
        and not isinstance(data_loader.dataset, IterableDataset)
    ):
        shuffle = isinstance(data_loader.sampler, RandomSampler)
        sampler: DistributedSampler[Any] = DistributedSampler(
            data_loader.dataset,
            rank.world_size,
            rank.world_rank,
            shuffle=shuffle,
        )
        data_loader = DataLoader(
            data_loader.dataset,
            batch_size=data_loader.batch_size,
            sampler=sampler,
            num_workers=data_loader.num_workers,
            collate_fn=data_loader.collate_fn,
            pin_memory=data_loader.pin_memory,
            drop_last=data_loader.drop_last,
            timeout=data_loader.timeout,
            worker_init_fn=data_loader.worker_init_fn,
            generator=data_loader.generator,
        )
    return data_loader


def enable_reproducibility(seed: int = 0) -> None:
    """Seeds Python, numpy and torch, and asks torch for algorithms that give the same result each time."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
