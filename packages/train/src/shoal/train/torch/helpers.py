"""What a training loop of torch calls so that it runs the same in one process and in many."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shoal.train._internal.process.worker_session import SESSION
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.torch.devices import get_device
from shoal.train.torch.mixed_precision import with_mixed_precision

if TYPE_CHECKING:
    import torch
    from torch.utils.data import DataLoader


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
        InvalidArgumentError: (a ValueError) there is no such strategy, or it gets no arguments.
        RuntimeError: outside of a training loop.
    """
    import torch

    rank = SESSION.running("torch.prepare_model").rank
    if parallel_strategy not in ("ddp", "fsdp", None):
        raise InvalidArgumentError(f"parallel_strategy is {parallel_strategy!r}; give 'ddp', 'fsdp' or None")
    if parallel_strategy is None and parallel_strategy_kwargs:
        raise InvalidArgumentError("parallel_strategy_kwargs are for a wrapper, and parallel_strategy is None")
    device = move_to_device if isinstance(move_to_device, torch.device) else get_device()
    if move_to_device is not False:
        model = model.to(device)
    model = with_mixed_precision(model)
    if parallel_strategy is None or rank.world_size == 1:
        return model
    options = dict(parallel_strategy_kwargs or {})
    if parallel_strategy == "fsdp":
        from torch.distributed.fsdp import FullyShardedDataParallel

        return FullyShardedDataParallel(model, **({"device_id": device} | options))
    if device.type == "cuda" and move_to_device is not False:
        options = {"device_ids": [device], "output_device": device} | options
    return torch.nn.parallel.DistributedDataParallel(model, **options)


def prepare_data_loader(
    data_loader: DataLoader[Any], add_dist_sampler: bool = True, move_to_device: bool = True, auto_transfer: bool = True
) -> DataLoader[Any]:
    """Returns a loader whose batches are this rank's part of the data, on its device. The batch size stays that of one worker.

    Args:
        data_loader: the same in all ranks; shuffled or not, as its sampler was. With several workers call
            `loader.sampler.set_epoch(epoch)` in each epoch, so that each is shuffled in its own way.
        add_dist_sampler: divide the data among the ranks.
        move_to_device: move batches to the device.
        auto_transfer: to a GPU, move the next batch while this one is worked on; needs `pin_memory` of the loader to gain by it.

    Raises:
        RuntimeError: outside of a training loop.
    """
    rank = SESSION.running("torch.prepare_data_loader").rank
    if rank.world_size > 1 and add_dist_sampler and _may_be_divided(data_loader):
        data_loader = _divided(data_loader, rank.world_size, rank.world_rank)
    if not move_to_device:
        return data_loader
    device = get_device()
    if device.type == "cpu":
        # That is where batches are.
        return data_loader
    from shoal.train.torch.device_loader import DeviceLoader

    loader: Any = DeviceLoader(data_loader, device, auto_transfer)
    return loader  # type: ignore[no-any-return]  # It is one for whoever loops over it, and its attributes are the loader's.


def _may_be_divided(loader: DataLoader[Any]) -> bool:
    from torch.utils.data import DistributedSampler, IterableDataset

    return not isinstance(loader.sampler, DistributedSampler) and not isinstance(loader.dataset, IterableDataset)


def _divided(loader: DataLoader[Any], world_size: int, world_rank: int) -> DataLoader[Any]:
    from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, SequentialSampler

    shuffles = not isinstance(loader.sampler, SequentialSampler)
    sampler: DistributedSampler[Any] = DistributedSampler(loader.dataset, world_size, world_rank, shuffle=shuffles)
    options: dict[str, Any] = {
        "num_workers": loader.num_workers,
        "collate_fn": loader.collate_fn,
        "pin_memory": loader.pin_memory,
        "timeout": loader.timeout,
        "worker_init_fn": loader.worker_init_fn,
        "multiprocessing_context": loader.multiprocessing_context,
        "generator": loader.generator,
        "prefetch_factor": loader.prefetch_factor,
        "persistent_workers": loader.persistent_workers,
    }
    if loader.batch_size is None and isinstance(loader.batch_sampler, BatchSampler):
        # A sampler of batches, given as such: the same, over this rank's part.
        batches = BatchSampler(sampler, loader.batch_sampler.batch_size, loader.batch_sampler.drop_last)
        return DataLoader(loader.dataset, batch_sampler=batches, **options)
    return DataLoader(
        loader.dataset, batch_size=loader.batch_size, sampler=sampler, drop_last=loader.drop_last, **options
    )


def enable_reproducibility(seed: int = 0) -> None:
    """Seeds Python, numpy and torch, and asks torch for algorithms that give the same result each time.

    Args:
        seed: the same in all ranks, or not.
    """
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)
        torch.backends.cudnn.benchmark = False
        # cuBLAS refuses to work without this when algorithms have to be deterministic.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
